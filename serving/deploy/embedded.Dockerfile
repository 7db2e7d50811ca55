# The embedded server alone: of this package the room serving/, of its dependencies those of it, in
# the versions of the lock file.
#
#   docker build -f serving/deploy/embedded.Dockerfile -t convnets-server:0.1.0 .
#   docker run -v "$PWD/runs/serving:/models:ro" -p 8500:8500 -p 8501:8501 convnets-server:0.1.0 \
#       --host=0.0.0.0 --rest_api_port=8501 --model_name=lenet --model_base_path=/models/lenet
FROM python:3.10-slim-bookworm
COPY requirements/glibc-2.36.txt /tmp/lock.txt
RUN pip install --no-cache-dir --constraint /tmp/lock.txt \
    aiohttp click grpcio grpcio-health-checking grpcio-reflection ml-dtypes numpy pillow \
    prometheus-client protobuf setuptools tensorflow tensorflow-serving-api
COPY serving /app/serving
WORKDIR /app
USER 65534:65534
ENV TF_CPP_MIN_LOG_LEVEL=2
EXPOSE 8500 8501
ENTRYPOINT ["python", "-m", "serving"]
