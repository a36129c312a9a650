# Data preparation and tests on CPUs: Python 3.11.
# Build, in course_lib/finops/batch:  docker build -f images/cpu.Dockerfile -t course:cpu .
# The base is named by its official tag, as read on 2026-11-26.
# Pin it by digest in your own registry: a tag can be moved. Not built by the course's tests, which have no Docker.
FROM python:3.11-slim-bookworm

LABEL org.opencontainers.image.title="course-cpu" \
      org.opencontainers.image.description="Data preparation and tests on CPUs: Python 3.11."

# boto3 for the S3 contract; whatever the base image brings for its accelerator stays as it is.
RUN python -m pip install --no-cache-dir boto3==1.44.5 \
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

ENTRYPOINT ["python", "/opt/course/contract.py"]
