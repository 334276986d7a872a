//! A fleet on real sockets: files, addresses and what a dead port looks like.

use pocketkube::{ApiState, Error, Fleet, FleetOptions};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn http(address: &str, request: &str) -> String {
    let address = address.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.expect("a listener");
    stream
        .write_all(request.as_bytes())
        .await
        .expect("a request is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer
}

#[tokio::test]
async fn each_cluster_has_a_kubeconfig_and_the_control_address_lists_them() {
    let fleet = Fleet::start(FleetOptions::named(["one", "two"]))
        .await
        .unwrap();
    let one = fleet.cluster("one");
    let written = std::fs::read_to_string(one.kubeconfig_path().unwrap()).unwrap();
    assert_eq!(written, one.kubeconfig());
    assert!(written.contains(one.url()) && written.contains(one.token()));
    assert_ne!(one.url(), fleet.cluster("two").url());

    let request = "GET /pocketkube/clusters HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let listed = http(&fleet.control_url(), request).await;
    assert!(listed.contains(one.url()), "{listed}");
    let folder = fleet.folder().to_owned();
    drop(fleet);
    assert!(!folder.exists(), "its own folder goes with it");
}

#[tokio::test]
async fn a_cluster_that_is_down_resets_connections_and_is_reached_through_the_control_address() {
    let fleet = Fleet::start(FleetOptions::named(["one"])).await.unwrap();
    let one = fleet.cluster("one");
    let address = one.url().trim_start_matches("https://").to_owned();
    let mut open = TcpStream::connect(&address).await.unwrap();
    one.faults().set_api(ApiState::Down);
    let mut byte = [0];
    let cut = tokio::time::timeout(Duration::from_secs(10), open.read(&mut byte))
        .await
        .unwrap();
    assert!(matches!(cut, Ok(0) | Err(_)), "the open connection is cut");
    // The reset comes with the connection or with its first read.
    if let Ok(mut late) = TcpStream::connect(&address).await {
        let read = tokio::time::timeout(Duration::from_secs(10), late.read(&mut byte)).await;
        assert!(matches!(read.unwrap(), Ok(0) | Err(_)));
    }
    let body = r#"{"api":"up"}"#;
    let request = format!(
        "PUT /pocketkube/clusters/one/faults HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = http(&fleet.control_url(), &request).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(one.faults().get().api, ApiState::Up);
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let options = FleetOptions {
        control_port: port,
        ..FleetOptions::named(["one"])
    };
    let error = Fleet::start(options).await.unwrap_err();
    assert_eq!(error.kind(), "listen");
    assert!(
        error.to_string().contains(&format!("127.0.0.1:{port}")),
        "{error}"
    );
}

#[tokio::test]
async fn names_must_differ() {
    let error = Fleet::start(FleetOptions::named(["one", "one"]))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::DuplicateName(name) if name == "one"));
}
