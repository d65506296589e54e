# syntax=docker/dockerfile:1
# The programs on a base with glibc and certificates and nothing else: no shell, no package manager, not root.
#
#     docker build --build-arg REVISION="$(git rev-parse --short=12 HEAD)" --tag nezuko .
#
# The fleet runs `nezuko-gateway` and `nezuko-worker`; `nezuko` is both in one process and what runs where nothing is named.

FROM rust:1.95.0-slim-bookworm AS build
WORKDIR /source
COPY . .
ARG REVISION=unknown
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/source/target \
    NEZUKO_REVISION="$REVISION" .ci/image-programs /programs

FROM gcr.io/distroless/cc-debian12:nonroot
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Nezuko" \
      org.opencontainers.image.description="Guards Telegram groups that are tied to channels" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /programs/ /usr/local/bin/
# By number, so that Kubernetes can see that it is not root.
USER 65532:65532
EXPOSE 8443 9090
# SIGTERM: finishes what is in hand and gives the rest back.
STOPSIGNAL SIGTERM
ENTRYPOINT []
CMD ["nezuko"]
