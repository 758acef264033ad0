//! The `domicile` binary: see [`domicile::cli`].

fn main() -> std::process::ExitCode {
    domicile::cli::run()
}
