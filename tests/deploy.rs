//! What is shipped for deployments, as far as it can be checked without an engine: the compose file by docker-compose itself,
//! the name server's files by BIND's own checkers, the Dockerfile against both and against the tree.

use std::path::Path;
use std::process::Command;

use crate::harness::tools::{program, repository};

fn text(name: &str) -> String {
    std::fs::read_to_string(repository().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Runs a checker of somebody else; what it says is returned.
fn checked(command: &mut Command) -> String {
    let out = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}; run tests/install"));
    let said =
        String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{command:?}: {said}");
    said
}

/// Words behind every line of the Dockerfile that starts with `instruction`.
fn instructions<'a>(dockerfile: &'a str, instruction: &str) -> Vec<Vec<&'a str>> {
    let lines = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix(instruction));
    lines
        .map(|rest| rest.split_whitespace().collect())
        .collect()
}

#[test]
fn docker_compose_accepts_the_compose_file() {
    let said = checked(
        Command::new(program("docker-compose"))
            .current_dir(repository())
            .args(["-f", "docker-compose.yml", "config"]),
    );
    for service in ["database:", "nameserver:", "domicile:"] {
        assert!(said.contains(service), "{said}");
    }
}

#[test]
fn bind_accepts_the_name_servers_files() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let zone = repository().join("docs/deploy/hosting.example.net.zone");
    let said = checked(
        Command::new(program("named-checkzone"))
            .arg("hosting.example.net")
            .arg(&zone),
    );
    assert!(said.contains("OK"), "{said}");
    // The paths of the container, put below a directory of ours.
    let place = dir.path().display().to_string();
    let config = text("docs/deploy/named.conf")
        .replace("/var/lib/bind", &place)
        .replace("/var/cache/bind", &place)
        .replace("/etc/bind", &place);
    std::fs::write(dir.path().join("named.conf"), config).expect("configuration");
    std::fs::copy(&zone, dir.path().join("hosting.example.net.zone")).expect("zone");
    let key = Command::new(program("tsig-keygen"))
        .args(["-a", "hmac-sha256", "domicile"])
        .output()
        .expect("tsig-keygen");
    std::fs::write(dir.path().join("tsig.key"), key.stdout).expect("key");
    checked(
        Command::new(program("named-checkconf"))
            .arg("-z")
            .arg(dir.path().join("named.conf")),
    );
}

#[test]
fn the_dockerfile_copies_what_exists_and_agrees_with_compose() {
    let dockerfile = text("Dockerfile");
    let compose = text("docker-compose.yml");
    for words in instructions(&dockerfile, "COPY ") {
        if words[0].starts_with("--from=") {
            continue;
        }
        for source in &words[..words.len() - 1] {
            assert!(
                repository().join(source).exists(),
                "COPY {source}: there is no such file"
            );
        }
    }
    // Cargo needs every member of the workspace, and every target that a manifest names, to be copied.
    let copied: Vec<&str> = instructions(&dockerfile, "COPY ")
        .into_iter()
        .flatten()
        .collect();
    let manifest = text("Cargo.toml");
    let members = crate::harness::xmpp::between(&manifest, "members = [", "]").expect("members");
    for member in members.split(',').map(|m| m.trim().trim_matches('"')) {
        let top = Path::new(member)
            .iter()
            .next()
            .expect("a path")
            .to_string_lossy()
            .into_owned();
        assert!(copied.contains(&top.as_str()), "{member} is not copied");
    }

    let exposed = instructions(&dockerfile, "EXPOSE ").concat();
    let service = &compose[compose.find("\n  domicile:").expect("service")..];
    let ports = crate::harness::xmpp::between(service, "ports:", "environment:").expect("ports");
    let inside: Vec<&str> = ports
        .lines()
        .filter_map(|line| {
            line.trim()
                .strip_prefix("- \"")?
                .trim_end_matches('"')
                .rsplit(':')
                .next()
        })
        .collect();
    assert_eq!(exposed, inside, "EXPOSE and the published ports");
    // The ports of the container are those that the server listens at by itself.
    let example = text("domicile.example.toml");
    for port in inside {
        assert!(
            example.contains(&format!(":{port}\"]")),
            "nothing listens at {port} by default"
        );
    }
    let volume = instructions(&dockerfile, "VOLUME ").concat();
    assert!(
        service.contains(&format!("state:{}", volume[0])),
        "the volume keeps the state"
    );
    assert!(
        example.contains(&format!("data_dir = \"{}\"", volume[0])),
        "the data directory is the volume"
    );
    assert!(
        dockerfile.contains("target/release/domicile /domicile")
            && text("server/Cargo.toml").contains("name = \"domicile\"")
    );
}
