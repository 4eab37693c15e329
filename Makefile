# make run    installs what is missing, builds, and starts everything with demo data
# make test   the same for the tests, then runs all of them
BUF_VERSION := 1.75.0
STANDARDWEBHOOKS_VERSION := 1.1.0
REDOCLY_VERSION := 2.77.0
SWAGGER_UI_VERSION := 5.35.0
TOOLS := .tools

.PHONY: run test install install-webhooks install-buf install-redocly lint-proto conformance fuzz differential instructions instructions-update clients slow-clients check-openapi docs-assets crash limits bench-start bench-gateway bench-pay

run: install
	cargo build --release --bin pulpo
	./target/release/pulpo dev

test: install install-webhooks
	@if cargo nextest --version >/dev/null 2>&1; then \
	  cargo nextest run --workspace --no-fail-fast && cargo test --workspace --doc; \
	else \
	  cargo test --workspace --no-fail-fast; \
	fi

# Postgres, curl and a C compiler from the system's packages; says what it does, does nothing twice.
install:
	@scripts/install.sh

# The Python package that webhooks' signatures are verified with.
install-webhooks:
	@test -x $(TOOLS)/webhooks/python/bin/python || (python3 -m venv $(TOOLS)/webhooks/python.new && \
	  $(TOOLS)/webhooks/python.new/bin/pip install --quiet --disable-pip-version-check standardwebhooks==$(STANDARDWEBHOOKS_VERSION) && \
	  mv $(TOOLS)/webhooks/python.new $(TOOLS)/webhooks/python)

install-buf:
	@test -x $(TOOLS)/node_modules/.bin/buf || npm install --silent --no-audit --no-fund --prefix $(TOOLS) @bufbuild/buf@$(BUF_VERSION)

lint-proto: install-buf
	$(TOOLS)/node_modules/.bin/buf lint

# protobuf's own tests of JSON, against the gateway's codec.
conformance:
	scripts/conformance.sh

# The gateway against slow readings of the same inputs, a minute for each target: make fuzz FUZZ_SECONDS=600.
# With 0 only the inputs that are kept; with FUZZ_SEED a build is given the same inputs in every run, as the checks do.
FUZZ_SECONDS := 60
FUZZ_SEED :=
fuzz:
	FUZZ_SEED=$(FUZZ_SEED) gateway/fuzz/run.sh $(FUZZ_SECONDS)

# The gateway and Envoy answer the same requests; differences are listed in gateway/README.md.
differential:
	scripts/differential.sh

# grpcurl, grpcio and connect-es against the gateway's echo service and the program in front of it, and a thousand slow
# connections beside others.
clients:
	gateway/clients/run.sh

# Only the slow ones, of the last.
slow-clients:
	gateway/clients/slow.sh

# What the codec costs, in instructions, against the pinned counts; more than 2 % away fails. The second pins them anew.
instructions:
	scripts/instructions.sh check

instructions-update:
	scripts/instructions.sh update

# The server and its Postgres killed at random moments under load: make crash CYCLES=1000
CYCLES := 100
crash: install
	PULPO_CRASH_CYCLES=$(CYCLES) cargo test --test it -- --nocapture crash::

# Limits, keys and two replicas under concurrent requests, round after round: make limits ROUNDS=5000
ROUNDS := 1000
limits: install
	PULPO_LIMIT_ROUNDS=$(ROUNDS) cargo test --test it -- --nocapture --test-threads 1 pulse::concurrency:: pulse::replicas::

install-redocly:
	@test -x $(TOOLS)/node_modules/.bin/redocly || npm install --silent --no-audit --no-fund --prefix $(TOOLS) @redocly/cli@$(REDOCLY_VERSION)

# The document of every surface, and of the test contract that has every feature, is OpenAPI 3.1 to a validator too.
check-openapi: install-redocly
	@mkdir -p target/openapi
	cargo build --quiet --workspace --bin pulpo
	@for surface in hub deploy workspace pay integrations; do \
	  $${CARGO_TARGET_DIR:-target}/debug/pulpo openapi --surface $$surface > target/openapi/$$surface.json || exit 1; \
	done
	REDOCLY_TELEMETRY=off $(TOOLS)/node_modules/.bin/redocly lint --config .ci/redocly.yaml \
	  target/openapi/*.json gateway/tests/openapi/features.json

# Fetches the page of /docs anew; its own files stay.
docs-assets:
	npm install --silent --no-audit --no-fund --prefix $(TOOLS) swagger-ui-dist@$(SWAGGER_UI_VERSION)
	cd $(TOOLS)/node_modules/swagger-ui-dist && cp LICENSE NOTICE swagger-ui-bundle.js.LICENSE.txt $(CURDIR)/gateway/assets/swagger-ui/
	for file in swagger-ui-bundle.js swagger-ui.css; do \
	  gzip -9nc $(TOOLS)/node_modules/swagger-ui-dist/$$file > gateway/assets/swagger-ui/$$file.gz; \
	done

bench-start: install
	cargo build --release --bin pulpo
	bench/start.sh

# Installs Envoy, wrk and h2load and takes about ten minutes; fails when a gate does.
bench-gateway:
	bench/gateway.sh

# Payments beside pgbench on the same Postgres, deliveries, backtests and windows, for about twenty minutes; fails when a gate does.
bench-pay: install
	cargo build --release -p pulpo -p pulpo-pay-bench
	target/release/pulpo-pay-bench --results bench/results/pay.md
