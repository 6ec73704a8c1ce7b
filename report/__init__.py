"""A report of the models in one HTML file: charts with the numbers behind them, with nothing to fetch and no server."""
