# Chores of the house. `just` lists them.

# List the recipes
default:
    @just --list --unsorted

# Everything on loopback: two delegated domains, users, the panel
demo *ARGS:
    cargo run --release -- demo {{ARGS}}

# The whole test run, as CI does it (installs what it needs from packages)
test:
    tests/run

# Formatting, lints, house rules: what must be clean before a commit
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo test -q -p domicile --test tidy

# Unit tests and the storage battery only: minutes, no peers, no browser (PostgreSQL and BIND's checker come with tests/install)
quick:
    cargo test --workspace --lib --bins

# What each unit of work costs the server, beside Prosody and ejabberd; `just bench --help`
bench *ARGS:
    cargo run --release -p domicile-bench -- {{ARGS}}

# Every page of the panel with sample data, at three widths, light and dark, and sheets of them (needs tests/install)
shots DIR="target/shots":
    mkdir -p {{DIR}}/pages
    PANEL_GALLERY="$(realpath {{DIR}}/pages)" cargo test -q -p admin-web --lib the_gallery_can_be_looked_at
    printf '{"pages": "%s/pages", "shots": "%s"}' {{DIR}} {{DIR}} > {{DIR}}/plan.json
    TEST_NODE=target/test-env/node node tests/browser/gallery.mjs {{DIR}}/plan.json

# Instructions of the hot path's pieces against the record (needs valgrind); `just instructions record` writes it anew
instructions *ARGS:
    cargo run -q --profile counted -p domicile-instructions -- {{ARGS}}

# Micro-benchmarks of framing, stanzas, judging and routing
bench-micro *ARGS:
    cargo bench --workspace --benches {{ARGS}}

# Fuzz one target of the language crate (needs cargo-fuzz): framing, jid, element, sasl
fuzz TARGET="framing" SECONDS="60":
    cd server/xmpp/fuzz && RUSTC_BOOTSTRAP=1 cargo fuzz run {{TARGET}} -- -max_total_time={{SECONDS}}

# Licences, bans and sources of every dependency (needs cargo-deny)
deny:
    cargo deny check licenses bans sources

# Rewrite the generated example configuration
example:
    cargo run -q -- config example > domicile.example.toml
