//! The `troop` program: everything is in the library.
fn main() -> std::process::ExitCode {
    troop::cli::main()
}
