# podgate's image: one static binary, nothing else. `docker build .` builds it all; `make image` builds the binary
# outside and puts it in the place of the first stage.
FROM docker.io/library/rust:1.95.0 AS build
# The version above, not the newest stable.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /src
COPY . .
RUN make image-binary CARGO_TARGET_DIR=/target && cp /target/image/podgate /podgate

FROM scratch
COPY --from=build /podgate /podgate
LABEL org.opencontainers.image.title="podgate" \
      org.opencontainers.image.description="An admission-first policy controller for Kubernetes" \
      org.opencontainers.image.source="https://github.com/stochastic-io/podgate" \
      org.opencontainers.image.licenses="Apache-2.0"
USER 65532:65532
EXPOSE 8443 8080
ENTRYPOINT ["/podgate"]
CMD ["serve"]
