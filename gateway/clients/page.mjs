// The page: connect-es in a browser, from another origin than the service's. Each case becomes a line.
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { cases } from "./cases.mjs";

const baseUrl = new URLSearchParams(location.search).get("service");
const transports = {
  "Connect, JSON": createConnectTransport({ baseUrl }),
  "Connect, binary": createConnectTransport({ baseUrl, useBinaryFormat: true }),
  "Connect, JSON, GET": createConnectTransport({ baseUrl, useHttpGet: true }),
  "gRPC-Web, binary": createGrpcWebTransport({ baseUrl }),
};

const results = [];
for (const [transport, client] of Object.entries(transports)) {
  for (const [name, run] of cases(client, { isLimited: /^Connect.*(JSON|binary)$/.test(transport) })) {
    const result = { name: `${transport}: ${name}`, fault: "" };
    await run().catch((error) => (result.fault = String(error)));
    results.push(result);
    const line = document.createElement("li");
    line.textContent = `${result.fault ? "✗" : "✓"} ${result.name} ${result.fault}`;
    document.getElementById("results").append(line);
  }
}
window.finished = results;
