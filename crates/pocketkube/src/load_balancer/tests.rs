//! What the service controller writes, and what listeners answer.

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn service(ports: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop", "uid": "s"},
        "spec": {"type": "LoadBalancer", "ports": ports}, "status": {"loadBalancer": {}}})
}

fn only_object(step: &Step) -> Value {
    let mut objects = step.writes.iter().filter_map(|write| match write {
        Write::Update(_, object) | Write::UpdateStatus(_, object) => Some(object.clone()),
        _ => None,
    });
    objects.next().expect("a write")
}

#[test]
fn a_service_is_held_then_gets_its_address_and_gives_both_back() {
    let address = Outcome::Address(Ipv4Addr::new(203, 0, 113, 7));
    let held = only_object(&step(&service(json!([])), &address));
    assert_eq!(held["metadata"]["finalizers"], json!([CLEANUP]));
    let mut ready = only_object(&step(&held, &address));
    assert_eq!(
        ready["status"]["loadBalancer"],
        json!({"ingress": [{"ip": "203.0.113.7", "ipMode": "VIP"}]})
    );
    assert_eq!(step(&ready, &address), Step::default());

    ready["spec"]["type"] = json!("ClusterIP");
    let cleared = only_object(&step(&ready, &Outcome::Absent));
    assert_eq!(cleared["status"]["loadBalancer"], json!({}));
    let free = only_object(&step(&cleared, &Outcome::Absent));
    assert_eq!(free["metadata"].get("finalizers"), None);
    assert_eq!(step(&free, &Outcome::Absent), Step::default());
}

#[test]
fn a_service_of_another_class_is_left_to_whoever_serves_that() {
    let mut other = service(json!([]));
    other["spec"]["loadBalancerClass"] = json!("example.org/other");
    other["status"]["loadBalancer"]["ingress"] = json!([{"ip": "203.0.113.9"}]);
    assert_eq!(step(&other, &Outcome::Absent), Step::default());
}

#[test]
fn a_failure_is_an_event_and_the_service_stays_pending() {
    let held = only_object(&step(&service(json!([])), &Outcome::Absent));
    let told = step(&held, &Outcome::Failed("port taken".to_owned()));
    let [Write::Event(note)] = &told.writes[..] else {
        panic!("{told:?}")
    };
    assert_eq!(
        note.message,
        "Error syncing load balancer: failed to ensure load balancer: port taken"
    );
}

#[test]
fn addresses_are_kept_and_given_back() {
    let block = Block::new(Ipv4Addr::new(203, 0, 113, 0), 24);
    let mut balancers = LoadBalancers::new("a", &LoadBalancing::AddressOnly(block));
    let first = balancers.ensure("shop/web", &service(json!([])), 1);
    assert_eq!(first, Outcome::Address(Ipv4Addr::new(203, 0, 113, 1)));
    let mut other = service(json!([]));
    other["status"]["loadBalancer"]["ingress"] = json!([{"ip": "203.0.113.9"}]);
    let kept = balancers.ensure("shop/kept", &other, 1);
    assert_eq!(kept, Outcome::Address(Ipv4Addr::new(203, 0, 113, 9)));
    let mut gone = service(json!([]));
    gone["spec"]["type"] = json!("ClusterIP");
    assert_eq!(balancers.ensure("shop/web", &gone, 1), Outcome::Absent);
    let off = LoadBalancers::new("a", &LoadBalancing::Off).ensure("x", &service(json!([])), 1);
    assert_eq!(off, Outcome::Absent);
}

async fn get(at: SocketAddrV4, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(at).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_load_balancer_names_its_cluster_and_closes_with_the_data_plane() {
    let subnet = Loopback::default().subnet(3);
    let mut balancers = LoadBalancers::new("beijing", &LoadBalancing::Listening(subnet));
    let service = service(json!([{"port": 8080}, {"port": 53, "protocol": "UDP"}]));
    let Outcome::Address(address) = balancers.ensure("shop/web", &service, 2) else {
        panic!("an address");
    };
    assert_eq!((address.octets()[0], address.octets()[2]), (127, 3));
    let at = SocketAddrV4::new(address, 8080);
    let text = get(at, "/").await.unwrap();
    assert!(
        text.contains("cluster: beijing\nservice: shop/web\nready endpoints: 2\n"),
        "{text}"
    );
    let json = get(at, "/who.json").await.unwrap();
    assert!(json.contains(r#""cluster":"beijing""#), "{json}");
    assert!(
        get(at, "/healthz")
            .await
            .unwrap()
            .starts_with("HTTP/1.1 200")
    );
    balancers.ensure("shop/web", &service, 0);
    assert!(
        get(at, "/healthz")
            .await
            .unwrap()
            .starts_with("HTTP/1.1 503")
    );

    balancers.set_data_plane(DataPlaneState::Down);
    tokio::task::yield_now().await;
    assert_eq!(
        get(at, "/").await.unwrap_err().kind(),
        std::io::ErrorKind::ConnectionRefused
    );
    balancers.set_data_plane(DataPlaneState::Up);
    balancers.ensure("shop/web", &service, 1);
    assert!(
        get(at, "/healthz")
            .await
            .unwrap()
            .starts_with("HTTP/1.1 200")
    );
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn two_fleets_do_not_share_addresses() {
    let (one, other) = (Loopback::default(), Loopback::default());
    let first = one.subnet(0).block().unwrap();
    assert_ne!(first, other.subnet(0).block().unwrap());
    assert_eq!(first, one.subnet(0).block().unwrap());
    assert_ne!(first, one.subnet(256).block().unwrap());
}
