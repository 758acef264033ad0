//! Requests to the endpoints, without a socket.

use axum::body::Body;
use axum::extract::Request;
use tower_service::Service as _;

use super::*;
use crate::config::Config;
use crate::tenancy::Defaults;
use crate::testing::World;

/// Lets nobody in.
struct Nobody(Refused);

impl Clients for Nobody {
    fn admit(&self, _: SocketAddr) -> Result<Admission, Refused> {
        Err(self.0)
    }

    fn serve(
        &self,
        _: &'static str,
        _: BoxFuture<'static, Option<Carrier>>,
        _: TlsInfo,
        _: SocketAddr,
        _: Admission,
    ) {
        unreachable!("nobody was let in");
    }
}

fn log_ins() -> [Request; 2] {
    let websocket = Request::get(WEBSOCKET)
        .header("upgrade", "websocket")
        .header("connection", "Upgrade")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-protocol", "xmpp")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .body(Body::empty());
    let body = "<body rid='1' to='one.example' xmlns='http://jabber.org/protocol/httpbind' \
                xmpp:version='1.0' xmlns:xmpp='urn:xmpp:xbosh'/>";
    let bosh = Request::post(BOSH).body(Body::from(body));
    [websocket, bosh].map(|request| {
        let mut request = request.expect("a request");
        request.extensions_mut().insert(Arrival {
            from: ([192, 0, 2, 1], 50_000).into(),
            tls: TlsInfo::default(),
        });
        request
    })
}

async fn web(refused: Refused) -> (Router, World) {
    let world = World::new().await;
    let tenancy = Tenancy::load(world.store.clone(), None, Defaults::default())
        .await
        .expect("the domains");
    let config = Config::default();
    let uploads = uploads::Uploads::new(
        world.store.clone(),
        tenancy.clone(),
        std::env::temp_dir(),
        None,
        config.uploads.days,
    );
    let web = Web {
        clients: Arc::new(Nobody(refused)),
        tenancy,
        platform: String::new(),
        origins: Vec::new(),
        bosh: Arc::default(),
        uploads,
        stanza_bytes: 10_000,
    };
    (router(Arc::new(web)), world)
}

#[tokio::test]
async fn dos_02_who_logs_in_through_the_web_hears_that_there_is_too_much_to_do_and_when_to_come_again()
 {
    for (refused, status) in [
        (Refused::Overload, StatusCode::SERVICE_UNAVAILABLE),
        (
            Refused::UnauthenticatedInAll,
            StatusCode::SERVICE_UNAVAILABLE,
        ),
        (Refused::Rate, StatusCode::TOO_MANY_REQUESTS),
        (Refused::Unauthenticated, StatusCode::TOO_MANY_REQUESTS),
    ] {
        let (mut router, _world) = web(refused).await;
        for request in log_ins() {
            let what = request.uri().to_string();
            let answer = router.call(request).await.expect("an answer");
            assert_eq!(answer.status(), status, "{what}: {refused:?}");
            let after = answer.headers().get(header::RETRY_AFTER);
            let after = after.and_then(|after| after.to_str().ok()?.parse::<u64>().ok());
            assert!(
                after.is_some_and(|seconds| (1..=60).contains(&seconds)),
                "{what}: {after:?}"
            );
        }
    }
}
