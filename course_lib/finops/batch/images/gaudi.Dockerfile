# Training on Gaudi: PyTorch 2.6 with Intel Gaudi software 1.21.3.
# Build, in course_lib/finops/batch:  docker build -f images/gaudi.Dockerfile -t course:gaudi .
# The base is named by its official tag, as read on 2026-11-26.
# 1.21 is the last series whose support matrix has first-generation Gaudi, the one in dl1.24xlarge.
# Pin it by digest in your own registry: a tag can be moved. Not built by the course's tests, which have no Docker.
FROM vault.habana.ai/gaudi-docker/1.21.3/ubuntu22.04/habanalabs/pytorch-installer-2.6.0:1.21.3-57

LABEL org.opencontainers.image.title="course-gaudi" \
      org.opencontainers.image.description="Training on Gaudi: PyTorch 2.6 with Intel Gaudi software 1.21.3."

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
