# syntax=docker/dockerfile:1
# The program in an image, for CPUs:
#
#     docker build -t longrope .
#     docker run --rm -it -v "$PWD:/work" longrope demo
#
# For NVIDIA GPUs (needs the NVIDIA Container Toolkit; kernels are compiled at run time by the NVRTC of the image):
#
#     docker build -t longrope:cuda --build-arg FEATURES=hub,cuda-nvrtc \
#         --build-arg BASE=nvidia/cuda:13.0.1-devel-ubuntu24.04 .
#     docker run --rm -it --gpus all -v "$PWD:/work" longrope:cuda eval ppl MODEL --device cuda ...
#
# The base image needs glibc 2.36 or newer, that of the image which builds.
ARG BASE=debian:bookworm-slim
ARG RUST=1.95-bookworm

FROM rust:${RUST} AS build
ARG FEATURES=hub
WORKDIR /source
COPY . .
# The tool chain of the image is used, not the one that rust-toolchain.toml would download.
RUN rm rust-toolchain.toml \
    && cargo build --release --locked --package longrope --features "${FEATURES}" \
    && strip target/release/longrope

# hadolint ignore=DL3006
FROM ${BASE}
COPY --from=build /source/target/release/longrope /usr/local/bin/longrope
COPY LICENSE-MIT LICENSE-APACHE /usr/local/share/doc/longrope/
ENV CUDA_PATH=/usr/local/cuda
# Files that are written belong to the user who is given with --user.
WORKDIR /work
ENTRYPOINT ["longrope"]
CMD ["--help"]
