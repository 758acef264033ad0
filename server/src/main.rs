//! The `domicile` binary: see [`domicile::cli`].

fn main() -> std::process::ExitCode {
    resident::started();
    domicile::cli::run()
}
