# syntax=docker/dockerfile:1

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
# The caches outlive the build; the binary alone leaves it.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked && cp target/release/grantor /grantor

FROM debian:bookworm-slim
# By number, so that Kubernetes can see that it is not root.
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /data grantor \
    && install -d -o grantor -g grantor -m 0700 /data
COPY --from=build /grantor /usr/local/bin/grantor
USER 10001:10001
WORKDIR /data
VOLUME /data
ENV GRANTOR__SERVER__LISTEN=0.0.0.0:8080 \
    GRANTOR__SERVER__DATA_DIR=/data
EXPOSE 8080
# No HEALTHCHECK: the image has no HTTP client. Ask /readyz from outside, as Kubernetes and load balancers do.
ENTRYPOINT ["grantor"]
CMD ["serve"]
