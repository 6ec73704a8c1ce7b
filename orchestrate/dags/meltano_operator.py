"""The operator that runs Meltano: no retries where no retry would change anything."""

from __future__ import annotations

from typing import Any

try:
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
except ImportError:  # Airflow 2.10
    from airflow.exceptions import AirflowFailException, AirflowSkipException
    from airflow.operators.bash import BashOperator

NOT_RETRIED = {
    78: "settings, credentials or the project are wrong",
    126: "Meltano's command can't be run",
    127: "there is no such command",
}
"""Exit codes of `meltano.sh`."""


class MeltanoOperator(BashOperator):
    """A bash operator that fails at once, whatever its `retries`, for an exit code that would come again."""

    template_ext = ()
    """No value names a template file: the bash operator takes each that ends in `.sh` for one, even Meltano's path."""

    def __init__(self, **options: Any) -> None:
        """Take what the bash operator takes."""
        super().__init__(**{"skip_on_exit_code": list(NOT_RETRIED), **options})

    def execute(self, context: Any) -> Any:
        """Run the command.

        Raises:
            AirflowFailException: It would fail again.
        """
        try:
            return super().execute(context)
        except AirflowSkipException as error:
            meanings = ", ".join(f"{code}: {meaning}" for code, meaning in NOT_RETRIED.items())
            message = f"Not tried again: the log above says what to correct ({meanings})"
            raise AirflowFailException(message) from error
