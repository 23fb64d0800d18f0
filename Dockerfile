# One static program and nothing else. It needs a PostgreSQL beside it (DATABASE_URL): see docker-compose.yml.
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG TARGETOS TARGETARCH
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -ldflags="-s -w" -o /out/lastunit ./cmd/lastunit
RUN mkdir -p /out/data /out/tmp

FROM scratch
# For https to where the buyers' keys are (jwks-url), and to databases.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/lastunit /lastunit
COPY --from=build --chown=65532:65532 /out/tmp /tmp
# The buyer secret lies here when none is set.
COPY --from=build --chown=65532:65532 /out/data /var/lib/lastunit
VOLUME /var/lib/lastunit
USER 65532:65532
ENV LASTUNIT_LISTEN=0.0.0.0:8080 LASTUNIT_DATA_DIR=/var/lib/lastunit
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["/lastunit", "health", "--url", "http://127.0.0.1:8080"]
ENTRYPOINT ["/lastunit"]
CMD ["serve"]
