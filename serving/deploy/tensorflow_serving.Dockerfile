# One pushed model inside the image of TensorFlow Serving: for where there is no volume to share.
#
#   docker build -f serving/deploy/tensorflow_serving.Dockerfile --build-arg MODEL=lenet -t lenet .
#   docker run -p 8500:8500 -p 8501:8501 lenet
ARG VERSION=2.16.1
FROM tensorflow/serving:${VERSION}
ARG MODEL
COPY runs/serving/${MODEL} /models/${MODEL}
ENV MODEL_NAME=${MODEL}
USER 65534:65534
