// connect-es in Node.js: the Connect protocol in all its forms, and gRPC and gRPC-Web beside it.
import { test } from "node:test";
import { compressionBrotli, compressionGzip, createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { cases } from "./cases.mjs";

const baseUrl = `http://${process.env.ECHO_ADDRESS}`;
const gzip = { sendCompression: compressionGzip, acceptCompression: [compressionGzip], compressMinBytes: 1 };
const brotli = { acceptCompression: [compressionBrotli] };
const plain = { acceptCompression: [] };

for (const httpVersion of ["1.1", "2"]) {
  const streams = { clientStreams: true, bidi: httpVersion === "2" };
  for (const useBinaryFormat of [false, true]) {
    for (const [compression, options] of [["gzip", gzip], ["brotli", brotli], ["plain", plain]]) {
      for (const useHttpGet of [false, true]) {
        const transport = createConnectTransport({ baseUrl, httpVersion, useBinaryFormat, useHttpGet, ...options });
        const name = `Connect, HTTP/${httpVersion}, ${useBinaryFormat ? "binary" : "JSON"}, ${compression}${useHttpGet ? ", GET" : ""}`;
        run(name, transport, { ...streams, isLimited: !useHttpGet });
      }
    }
  }
  run(`gRPC-Web, HTTP/${httpVersion}`, createGrpcWebTransport({ baseUrl, httpVersion, ...plain }), streams);
}
run("gRPC", createGrpcTransport({ baseUrl, ...plain }), { clientStreams: true, bidi: true });

function run(name, transport, streams) {
  test(name, async (t) => {
    for (const [title, run] of cases(transport, streams)) await t.test(title, run);
  });
}
