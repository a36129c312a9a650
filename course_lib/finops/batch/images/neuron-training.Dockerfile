# Training on Trainium: PyTorch 2.9 with Neuron SDK 2.27.1.
# Build, in course_lib/finops/batch:  docker build -f images/neuron-training.Dockerfile -t course:neuron-training .
# The base is named by its official tag, as read on 2026-11-26.
# It is for Trn1, Trn2, Trn3 and Inf2; the containers' page of SDK 2.33 names Trn2 and Trn3 only.
# Pin it by digest in your own registry: a tag can be moved. Not built by the course's tests, which have no Docker.
FROM public.ecr.aws/neuron/pytorch-training-neuronx:2.9.0-neuronx-py312-sdk2.27.1-ubuntu24.04

LABEL org.opencontainers.image.title="course-neuron-training" \
      org.opencontainers.image.description="Training on Trainium: PyTorch 2.9 with Neuron SDK 2.27.1."

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

# A batch job is judged by its exit code, and Batch asks for no health.
HEALTHCHECK NONE

ENTRYPOINT ["python3", "/opt/course/contract.py"]
