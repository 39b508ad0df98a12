//! The link emulator on real sockets: what the pure decisions of `linksim::direction` look like from outside.
#![expect(
    clippy::unwrap_used,
    reason = "a failed step of a test's helper is the test's failure"
)]

use std::{
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use apollo_tests::linksim::{Config, LinkSim};

/// Long enough for a loaded machine; a passing test never waits for it.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to watch for something that must not come: well above the link's zero delay.
const QUIET: Duration = Duration::from_millis(150);

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// A server socket, a link to it, and a client socket connected to the link.
fn link(change: impl FnOnce(&mut Config)) -> (UdpSocket, LinkSim, UdpSocket) {
    let server = socket();
    let mut config = Config::new(server.local_addr().unwrap());
    change(&mut config);
    let link = LinkSim::start(config).unwrap();
    let client = client(&link);
    (server, link, client)
}

fn client(link: &LinkSim) -> UdpSocket {
    let client = socket();
    client.connect(link.local_addr()).unwrap();
    client
}

fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 2048];
    let (length, from) = socket.recv_from(&mut buffer).unwrap();
    (buffer[..length].to_vec(), from)
}

fn expect_nothing(socket: &UdpSocket) {
    socket.set_read_timeout(Some(QUIET)).unwrap();
    assert!(
        socket.recv_from(&mut [0; 2048]).is_err(),
        "a datagram came through"
    );
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
}

#[test]
fn a_round_trip_takes_two_delays_and_both_ways_are_counted() {
    let (server, link, client) = link(|config| config.delay = Duration::from_millis(100));
    let sent = Instant::now();
    client.send(&[1; 100]).unwrap();
    let (payload, from) = receive(&server);
    assert!(
        sent.elapsed() >= Duration::from_millis(100),
        "{:?}",
        sent.elapsed()
    );
    assert_eq!(payload, [1; 100]);
    server.send_to(&[2; 40], from).unwrap();
    assert_eq!(receive(&client).0, [2; 40]);
    assert!(
        sent.elapsed() >= Duration::from_millis(200),
        "{:?}",
        sent.elapsed()
    );

    let stats = link.stop();
    assert_eq!(
        (stats.up.datagrams, stats.up.udp_bytes, stats.up.ip_bytes),
        (1, 100, 128)
    );
    assert_eq!(
        (stats.down.datagrams, stats.down.udp_bytes, stats.down.ip_bytes),
        (1, 40, 68)
    );
    assert_eq!(stats.ip_bytes(), 196);
    assert_eq!((stats.up.delivered, stats.down.delivered, stats.flows), (1, 1, 1));
}

#[test]
fn each_client_has_its_own_address_towards_the_server_and_gets_its_own_answers() {
    let (server, link, first) = link(|_| {});
    let second = client(&link);
    first.send(b"first").unwrap();
    let (_, first_from) = receive(&server);
    second.send(b"second").unwrap();
    let (_, second_from) = receive(&server);
    assert_ne!(first_from, second_from);
    server.send_to(b"to second", second_from).unwrap();
    server.send_to(b"to first", first_from).unwrap();
    assert_eq!(receive(&first).0, b"to first");
    assert_eq!(receive(&second).0, b"to second");
}

#[test]
fn after_a_rebind_a_client_has_a_new_address_and_the_old_one_is_dead() {
    let (server, link, client) = link(|_| {});
    client.send(b"before").unwrap();
    let (_, before) = receive(&server);
    link.rebind();
    // The request is taken up by the relay's next turn; the level to wait for is its own count.
    let deadline = Instant::now() + PATIENCE;
    while link.stats().rebinds == 0 {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    client.send(b"after").unwrap();
    let (_, after) = receive(&server);
    assert_ne!(before, after);
    server.send_to(b"lost", before).unwrap();
    server.send_to(b"found", after).unwrap();
    assert_eq!(receive(&client).0, b"found");
}

#[test]
fn rebinds_happen_on_schedule() {
    let (server, link, client) = link(|config| config.rebind_every = Some(Duration::from_millis(20)));
    let mut addresses = std::collections::BTreeSet::new();
    let deadline = Instant::now() + PATIENCE;
    while addresses.len() < 3 {
        assert!(Instant::now() < deadline, "{addresses:?}");
        client.send(b"x").unwrap();
        addresses.insert(receive(&server).1);
    }
    assert!(link.stats().rebinds >= 2);
}

#[test]
fn a_cut_link_is_silent_and_a_restored_one_is_not() {
    let (server, link, client) = link(|_| {});
    link.set_blackout(true);
    client.send(b"lost").unwrap();
    expect_nothing(&server);
    link.set_blackout(false);
    client.send(b"found").unwrap();
    assert_eq!(receive(&server).0, b"found");
    assert_eq!(link.stats().up.dark, 1);
}

#[test]
fn loss_can_be_changed_while_the_link_is_up() {
    let (server, link, client) = link(|_| {});
    link.set_loss(1.0);
    client.send(b"lost").unwrap();
    expect_nothing(&server);
    link.set_loss(0.0);
    client.send(b"found").unwrap();
    assert_eq!(receive(&server).0, b"found");
    assert_eq!(link.stats().up.lost, 1);
}

#[test]
fn a_duplicated_datagram_arrives_twice() {
    let (server, _link, client) = link(|config| config.dup = 1.0);
    client.send(b"twice").unwrap();
    assert_eq!(receive(&server).0, b"twice");
    assert_eq!(receive(&server).0, b"twice");
}

#[test]
fn a_server_that_is_down_does_not_end_the_link() {
    let server_addr = socket().local_addr().unwrap();
    let link = LinkSim::start(Config::new(server_addr)).unwrap();
    let client = client(&link);
    client.send(b"nobody there").unwrap();
    client.send(b"still nobody").unwrap();
    let server = UdpSocket::bind(server_addr).unwrap();
    server.set_read_timeout(Some(QUIET)).unwrap();
    let deadline = Instant::now() + PATIENCE;
    // A datagram that meets the pending ICMP error is lost, as on any link: send until one arrives.
    while server.recv_from(&mut [0; 64]).is_err() {
        assert!(Instant::now() < deadline);
        client.send(b"hello").unwrap();
    }
}

#[test]
fn a_taken_port_is_an_error() {
    let taken = socket();
    let listen = taken.local_addr().unwrap();
    let error = LinkSim::start(Config {
        listen,
        ..Config::new(listen)
    })
    .err()
    .unwrap();
    assert!(format!("{error:#}").contains(&listen.to_string()), "{error:#}");
}
