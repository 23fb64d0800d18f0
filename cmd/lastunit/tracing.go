package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/lastunit/lastunit/internal/httpapi"
)

// The protocols by which traces can be sent, as OpenTelemetry calls them.
const (
	otlpHTTP = "http/protobuf"
	otlpGRPC = "grpc"
)

// asksForTraces tells by which protocol the standard variables of OpenTelemetry ask for traces, by an exporter, or by saying where to send them; empty: they do not.
func asksForTraces(environ map[string]string) (protocol string, err error) {
	if environ["OTEL_SDK_DISABLED"] == "true" {
		return "", nil
	}
	switch exporter := environ["OTEL_TRACES_EXPORTER"]; exporter {
	case "none":
		return "", nil
	case "otlp":
	case "":
		if environ["OTEL_EXPORTER_OTLP_ENDPOINT"] == "" && environ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] == "" {
			return "", nil
		}
	default:
		return "", fmt.Errorf("OTEL_TRACES_EXPORTER must be otlp or none, not %q", exporter)
	}
	protocol = cmp.Or(environ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"], environ["OTEL_EXPORTER_OTLP_PROTOCOL"], otlpHTTP)
	if protocol != otlpHTTP && protocol != otlpGRPC {
		return "", fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL must be %s or %s, not %q", otlpHTTP, otlpGRPC, protocol)
	}
	return protocol, nil
}

// startTracing makes what sends traces by a protocol, as the standard variables say, which OpenTelemetry reads by itself.
func startTracing(ctx context.Context, protocol string, log *slog.Logger) (*trace.TracerProvider, error) {
	client := otlptracehttp.NewClient()
	if protocol == otlpGRPC {
		client = otlptracegrpc.NewClient()
	}
	exporter, err := otlptrace.New(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	about, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", "lastunit"), attribute.String("service.version", httpapi.Version())),
		resource.WithHost(), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) && !errors.Is(err, resource.ErrSchemaURLConflict) {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("tracing", "error", err) }))
	return trace.NewTracerProvider(trace.WithBatcher(exporter), trace.WithResource(about)), nil
}

// stopTracing sends what is left, if that is possible soon.
func stopTracing(p *trace.TracerProvider, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if err := p.Shutdown(ctx); err != nil {
		log.Warn("the last traces could not be sent", "error", err)
	}
}
