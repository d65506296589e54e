//! Recorded spans to a collector, by OTLP over HTTP (protobuf).

use std::{sync::Arc, time::Duration};

use opentelemetry::{Context, KeyValue, trace::TracerProvider};
use opentelemetry_otlp::{SpanExporter as OtlpExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{Sampler, SdkTracerProvider, Span, SpanData, SpanExporter, SpanProcessor},
};
use prometheus_client::metrics::counter::Counter;

use super::{
    Program,
    outbox::{Outbox, Size},
    trace::Recorder,
};
use crate::config::{Settings, TraceSettings};

/// Half a megabyte of spans or so wait at most.
const SIZE: Size = Size { queue: 2048, batch: 512, gather: Duration::from_secs(1) };
/// One delivery, with what the exporter tries again in it.
const DELIVERY: Duration = Duration::from_secs(5);

/// Where ended spans go.
#[derive(Debug)]
struct ToOutbox(Arc<Outbox<SpanData>>);

impl SpanProcessor for ToOutbox {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.0.put(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Has this process record traces and send them to the collector of `traces`. Returns where they wait.
///
/// # Errors
/// Where no HTTP client or no thread can be had.
pub(super) fn start(
    settings: &Settings,
    traces: &TraceSettings,
    program: Program,
    dropped: Counter,
) -> anyhow::Result<Arc<Outbox<SpanData>>> {
    let resource = Resource::builder()
        .with_service_name(program.name)
        .with_attributes([
            KeyValue::new("service.namespace", "nezuko"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", settings.worker_name.clone()),
            KeyValue::new("vcs.ref.head.revision", program.revision),
            KeyValue::new("deployment.environment.name", settings.environment.clone()),
        ])
        .build();
    let mut exporter = OtlpExporter::builder()
        .with_http()
        .with_endpoint(format!("{}/v1/traces", traces.endpoint))
        .with_timeout(DELIVERY)
        .build()?;
    exporter.set_resource(&resource);
    let deliver = move |spans| futures_executor::block_on(exporter.export(spans)).is_ok();
    let outbox = Arc::new(Outbox::start("traces", SIZE, dropped, deliver)?);
    // Whether a trace is recorded is decided before any span of it is made.
    let provider = SdkTracerProvider::builder()
        .with_sampler(Sampler::AlwaysOn)
        .with_resource(resource)
        .with_span_processor(ToOutbox(outbox.clone()))
        .build();
    Recorder { tracer: provider.tracer("nezuko"), share: traces.share }.install();
    Ok(outbox)
}
