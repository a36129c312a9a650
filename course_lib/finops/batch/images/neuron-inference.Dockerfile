# Serving on Inferentia or Trainium: PyTorch 2.9 with Neuron SDK 2.27.1.
# Build, in course_lib/finops/batch:  docker build -f images/neuron-inference.Dockerfile -t course:neuron-inference .
# The base is named by its official tag, as read on 2026-11-26.
# It is for Trn1, Trn2, Trn3 and Inf2; the containers' page of SDK 2.33 names Trn2 and Trn3 only.
# Pin it by digest in your own registry: a tag can be moved. Not built by the course's tests, which have no Docker.
FROM public.ecr.aws/neuron/pytorch-inference-neuronx:2.9.0-neuronx-py312-sdk2.27.1-ubuntu24.04

LABEL org.opencontainers.image.title="course-neuron-inference" \
      org.opencontainers.image.description="Serving on Inferentia or Trainium: PyTorch 2.9 with Neuron SDK 2.27.1."

# boto3 for the S3 contract; whatever the base image brings for its accelerator stays as it is.
RUN python3 -m pip install --no-cache-dir boto3==1.44.5 \
    && groupadd --gid 10001 course \
    && useradd --create-home --uid 10001 --gid course course \
    && install --directory --owner=course --group=course /work

COPY --chmod=0444 contract.py /opt/course/contract.py

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    COURSE_WORK=/work
WORKDIR /work
USER 10001:10001

# The server answers here when its model is loaded; compiling one takes minutes.
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=10m --retries=3 \
    CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health', timeout=4)"]

ENTRYPOINT ["python3", "/opt/course/contract.py"]
