//! The floor: a bare tokio and rustls server that gives back what it gets, measured like the others. What it costs is what
//! sockets and TLS cost by themselves; nothing that does more can be below.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::Outcome;
use crate::client;
use crate::machine::Process;
use crate::scenario::{Crew, Sample, Scenario, Size, at_rest};
use crate::world::{DOMAIN, World};

/// Connections that talk.
const CONNECTIONS: usize = 100;
/// Bytes of what goes there and back: about a chat message with 200 bytes of body.
const BYTES: usize = 300;

/// The server: one thread, one task a connection.
pub fn serve(address: SocketAddr, chain: &Path, key: &Path) -> Outcome<()> {
    let chain = CertificateDer::pem_file_iter(chain)?.collect::<Result<Vec<_>, _>>()?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async move {
        let listener = TcpListener::bind(address).await?;
        loop {
            let (tcp, _) = listener.accept().await?;
            let acceptor = acceptor.clone();
            tokio::spawn(async move { echo(acceptor, tcp).await.ok() });
        }
    })
}

async fn echo(acceptor: TlsAcceptor, tcp: TcpStream) -> std::io::Result<()> {
    tcp.set_nodelay(true)?;
    let mut tls = acceptor.accept(tcp).await?;
    let mut buffer = [0; 4096];
    loop {
        let length = tls.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        tls.write_all(&buffer[..length]).await?;
        tls.flush().await?;
    }
}

struct Floor {
    process: Process,
    address: SocketAddr,
    connector: TlsConnector,
}

impl Floor {
    fn start(world: &World) -> Outcome<Self> {
        let address: SocketAddr = format!("{}:5222", world.address(5)).parse()?;
        let (chain, key) = world.certificate();
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["floor-serve", &address.to_string()])
            .arg(chain)
            .arg(key);
        let mut process = Process::start(&mut command, &world.base.join("floor.log"))?;
        process.until("open port", Duration::from_secs(20), |_| {
            std::net::TcpStream::connect(address).is_ok()
        })?;
        let connector = TlsConnector::from(Arc::new(client::tls(&world.roots())?));
        Ok(Self {
            process,
            address,
            connector,
        })
    }

    async fn connect(&self) -> Outcome<TlsStream<TcpStream>> {
        connect(self.address, &self.connector).await
    }
}

async fn connect(address: SocketAddr, connector: &TlsConnector) -> Outcome<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    Ok(connector
        .connect(ServerName::try_from(DOMAIN)?, tcp)
        .await?)
}

/// What the floor of a scenario is; `None`: it has none.
pub async fn run(scenario: Scenario, world: &World, size: &Size) -> Outcome<Option<Vec<Sample>>> {
    match scenario {
        Scenario::Chat | Scenario::Ping => echoes(world, 1, None, size).await.map(Some),
        Scenario::Chat8 => echoes(world, 8, None, size).await.map(Some),
        Scenario::ChatPaced => echoes(world, 1, Some(1_000), &size.paced()).await.map(Some),
        Scenario::Login | Scenario::Handshake => handshakes(world, size).await.map(Some),
        Scenario::IdleSession => idle(world, size).await.map(Some),
        Scenario::IdleProcess => {
            let floor = Floor::start(world)?;
            drop(floor.connect().await?);
            let value = at_rest(&floor.process).await?;
            Ok(Some(vec![Sample {
                value,
                units: 1,
                per_second: 0.0,
                database: 0.0,
            }]))
        }
        _ => Ok(None),
    }
}

async fn echoes(
    world: &World,
    window: usize,
    rate: Option<u64>,
    size: &Size,
) -> Outcome<Vec<Sample>> {
    let floor = Floor::start(world)?;
    let mut crew = Crew::default();
    for number in 0..CONNECTIONS {
        let mut tls = floor.connect().await?;
        let meter = crew.meter.clone();
        crew.add(async move {
            let sent: Vec<u8> = (0..BYTES * window)
                .map(|at| b'a' + ((at + number) % 26) as u8)
                .collect();
            let mut back = vec![0; sent.len()];
            let period = rate.map(|rate| Duration::from_secs(1) * CONNECTIONS as u32 / rate as u32);
            let mut clock = period.map(tokio::time::interval);
            while !meter.stop.get() {
                if let Some(clock) = &mut clock {
                    clock.tick().await;
                }
                tls.write_all(&sent).await?;
                tls.flush().await?;
                tls.read_exact(&mut back).await?;
                if back != sent {
                    return Err("the echo is another".into());
                }
                meter.add(window as u64);
            }
            Ok(())
        });
    }
    crew.measure_both(&floor.process, None, size).await
}

async fn handshakes(world: &World, size: &Size) -> Outcome<Vec<Sample>> {
    let floor = Floor::start(world)?;
    let mut crew = Crew::default();
    for _ in 0..8 {
        let (address, connector, meter) =
            (floor.address, floor.connector.clone(), crew.meter.clone());
        crew.add(async move {
            let mut back = [0; 1];
            while !meter.stop.get() {
                let mut tls = connect(address, &connector).await?;
                // The server has finished when it gives this back.
                tls.write_all(b"x").await?;
                tls.read_exact(&mut back).await?;
                meter.add(1);
            }
            Ok(())
        });
    }
    crew.measure_both(&floor.process, None, size).await
}

async fn idle(world: &World, size: &Size) -> Outcome<Vec<Sample>> {
    let floor = Floor::start(world)?;
    drop(floor.connect().await?);
    let empty = at_rest(&floor.process).await?;
    let mut held = Vec::new();
    for _ in 0..size.idle_sessions {
        held.push(floor.connect().await?);
    }
    let full = at_rest(&floor.process).await?;
    let value = (full - empty) / held.len() as f64;
    Ok(vec![Sample {
        value,
        units: held.len() as u64,
        per_second: 0.0,
        database: 0.0,
    }])
}
