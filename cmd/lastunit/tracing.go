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
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/lastunit/lastunit/internal/httpapi"
)

// asksForTraces tells whether the standard variables of OpenTelemetry ask for traces: by an exporter, or by saying where to send them.
func asksForTraces(environ map[string]string) (bool, error) {
	if environ["OTEL_SDK_DISABLED"] == "true" {
		return false, nil
	}
	switch exporter := environ["OTEL_TRACES_EXPORTER"]; exporter {
	case "none":
		return false, nil
	case "otlp":
	case "":
		if environ["OTEL_EXPORTER_OTLP_ENDPOINT"] == "" && environ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] == "" {
			return false, nil
		}
	default:
		return false, fmt.Errorf("OTEL_TRACES_EXPORTER must be otlp or none, not %q", exporter)
	}
	protocol := cmp.Or(environ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"], environ["OTEL_EXPORTER_OTLP_PROTOCOL"], "http/protobuf")
	if protocol != "http/protobuf" {
		return false, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf, not %q: collectors take it at port 4318", protocol)
	}
	return true, nil
}

// startTracing makes what sends traces, as the standard variables say, which OpenTelemetry reads by itself.
func startTracing(ctx context.Context, log *slog.Logger) (*trace.TracerProvider, error) {
	exporter, err := otlptracehttp.New(ctx)
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
