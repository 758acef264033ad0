# syntax=docker/dockerfile:1
# One static-enough binary on a small Debian. Build: docker build -t domicile .
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY server server
COPY admin-web admin-web
COPY migrations migrations
COPY tests tests
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --package domicile \
    && cp target/release/domicile /domicile

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --home-dir /var/lib/domicile --create-home domicile
COPY --from=build /domicile /usr/local/bin/domicile
USER domicile
WORKDIR /var/lib/domicile
VOLUME /var/lib/domicile
# c2s, c2s direct TLS, s2s, s2s direct TLS, public HTTPS, panel, health and metrics
EXPOSE 5222 5223 5269 5270 5443 8080 9090
ENTRYPOINT ["domicile"]
CMD ["serve", "--config", "/etc/domicile/domicile.toml"]
