# What people type. `just` alone lists it.

default:
    @just --list

# The main job, end to end, on this machine
demo *ARGS:
    cargo run --release -- demo {{ARGS}}

# The tests
test *ARGS:
    cargo test --workspace {{ARGS}}

# What is planned is what then happens: up to three changes in each of a thousand random worlds, ten minutes
plans:
    MERIDIAN_WORLDS=1000 cargo test --release -p meridian-controller --test federated_object planned -- --nocapture

# Everything fails in a hundred ways that seeds draw, and all comes right again
chaos SEEDS="0..100":
    MERIDIAN_SEEDS={{SEEDS}} cargo test -p meridian-controller --test federated_object chaos -- --nocapture

# Everything CI runs
ci:
    .ci/run

# Stories of kubectl on a real control plane (KUBEBUILDER_ASSETS) and on pocketkube; `--record` writes down what the real one says
diff-kubectl *ARGS:
    .ci/kubectl target/kubectl
    cargo test -p meridian-tests --test kubectl_stories -- --real {{ARGS}}

# Helm and other programs that nobody here wrote, on a pocketkube fleet; they are built into target/peers
peers-kubernetes *ARGS:
    PEERS_BIN=target/peers tests/peers/kubernetes {{ARGS}}

# What anybody may send, drawn by coverage: seconds for each target
fuzz SECONDS="60":
    fuzz/run {{SECONDS}}

# knotd, nsd, named, unbound and dnsperf beside this server: the same zones, 100,000 queries
peers-dns *ARGS:
    tests/peers/dns {{ARGS}}

# Random writes by several managers, on a real control plane (KUBEBUILDER_ASSETS), whose answers are written down, and on pocketkube
record-ownership *ARGS:
    cargo test -p meridian-tests --test ownership -- --record {{ARGS}}

# Writes the generated CRDs
crds:
    cargo run --quiet -p meridian-api --example crds

# Formats and lints
lint:
    cargo fmt --all
    cargo clippy --workspace --all-targets -- -D warnings

# Nanoseconds per answer
bench-answer:
    cargo bench -p meridian-dns --bench answer

# This server beside gdnsd, Knot, PowerDNS and NSD (Debian has them): CPU per query, throughput, answers. Words are rounds and servers
bench-dns *ARGS:
    cargo bench -p meridian-dns-server --bench dns -- {{ARGS}}

# The whole city database (not in the repository): seconds and memory to compile it, nanoseconds of a lookup
geo:
    .ci/city-database target/city
    MERIDIAN_CITY="{{justfile_directory()}}/target/city" cargo bench -p meridian-steering --bench city

# Seconds from a checkpoint to answers, with 100,000 names
bench-restore:
    cargo bench -p meridian-steering --bench restore

# Milliseconds from a probe's result to the next snapshot, with 1,000 and 100,000 names
bench-flip:
    cargo bench -p meridian-steering --bench flip

# Seconds and memory of a million names in 5,000 zones, and of a change of one zone
bench-zones:
    cargo bench -p meridian-steering --bench zones

# Microseconds per division of replicas
bench-divide:
    cargo bench -p meridian-federation --bench divide

# Seconds of 1,000 federated objects into three members, beside a plain client's
bench-propagate *ARGS:
    cargo bench -p meridian-tests --bench propagate -- {{ARGS}}

# Latency, updates, restarts, many members, a lost one, far ones, each beside a plain client's
bench-federation *ARGS:
    ulimit -n $(ulimit -H -n) && cargo bench -p meridian-app --bench federation -- {{ARGS}}

# CPU, spread and connections of 10,000 endpoints that are probed every 5 s
bench-probes:
    ulimit -n $(ulimit -H -n) && cargo bench -p meridian-prober --bench fleet

# From a fault to the last client: 50 failures at the defaults and at the fastest settings, then a rolling restart
bench-failover *ARGS:
    cargo bench -p meridian-app --bench failover -- {{ARGS}}

# What pocketkube carries: clusters, objects, creations, watches
bench-pocketkube:
    ulimit -n $(ulimit -H -n) && cargo bench -p meridian-pocketkube --bench scale
