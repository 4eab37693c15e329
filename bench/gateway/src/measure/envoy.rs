//! Envoy as its users run it: JSON transcoder and router, statistics, request ids and time limits on, no access log.

use std::{fs, net::SocketAddr, path::Path};

use anyhow::{Context, Result};
use serde_json::json;

use crate::serve::MAX_BODY_BYTES;

/// Writes the configuration (JSON is YAML); its path.
pub(crate) fn write_config(
    folder: &Path,
    descriptors: &Path,
    listen: SocketAddr,
    upstream: SocketAddr,
) -> Result<String> {
    let address = |of: SocketAddr| json!({ "socket_address": { "address": of.ip().to_string(), "port_value": of.port() } });
    let transcoder = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
        "proto_descriptor": descriptors,
        "services": ["pulpo.bench.v1.PaymentService", "pulpo.bench.v1.FeedService"],
        "print_options": { "stream_newline_delimited": true },
        "convert_grpc_status": true,
        "request_validation_options": { "reject_unknown_method": true, "reject_unknown_query_parameters": true },
        "max_request_body_size": MAX_BODY_BYTES,
        "max_response_body_size": MAX_BODY_BYTES,
    });
    let router =
        json!({ "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" });
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "ingress",
        "codec_type": "AUTO",
        "generate_request_id": true,
        "request_timeout": "30s",
        "route_config": { "virtual_hosts": [{
            "name": "all",
            "domains": ["*"],
            "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": "grpc", "timeout": "30s" } }],
        }] },
        "http_filters": [
            { "name": "envoy.filters.http.grpc_json_transcoder", "typed_config": transcoder },
            { "name": "envoy.filters.http.router", "typed_config": router },
        ],
    });
    let http2 = json!({
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": { "http2_protocol_options": {} },
    });
    let config = json!({ "static_resources": {
        "listeners": [{
            "address": address(listen),
            "per_connection_buffer_limit_bytes": MAX_BODY_BYTES,
            "filter_chains": [{ "filters": [
                { "name": "envoy.filters.network.http_connection_manager", "typed_config": manager },
            ] }],
        }],
        "clusters": [{
            "name": "grpc",
            "type": "STATIC",
            "connect_timeout": "5s",
            "per_connection_buffer_limit_bytes": MAX_BODY_BYTES,
            "typed_extension_protocol_options": { "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2 },
            "load_assignment": { "cluster_name": "grpc", "endpoints": [{ "lb_endpoints": [
                { "endpoint": { "address": address(upstream) } },
            ] }] },
        }],
    } });
    let path = folder.join("envoy.yaml");
    fs::write(&path, config.to_string())?;
    path.into_os_string()
        .into_string()
        .ok()
        .context("the temporary folder has a strange name")
}
