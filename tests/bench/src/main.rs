//! The `domicile-bench` program; everything is in the library.

fn main() -> std::process::ExitCode {
    domicile_bench::run()
}
