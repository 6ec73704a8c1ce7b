# The tap alone: docker run --rm -v "$PWD:/data:ro" IMAGE --config /data/config.json
FROM python:3.12-slim
COPY pyproject.toml README.md LICENSE CHANGELOG.md sample_config.json /package/
COPY tap_signalwire_logs /package/tap_signalwire_logs
RUN pip install --no-cache-dir --root-user-action=ignore /package && rm -r /package
RUN useradd --create-home tap
USER tap
WORKDIR /home/tap
# Not through a shell, so that SIGTERM reaches the tap.
ENTRYPOINT ["tap-signalwire-logs"]
