use super::*;
use crate::drain::FrameCounter;

fn message(name: &str, payload: &[u8]) -> Vec<u8> {
    let mut head = Vec::new();
    put_head(&mut head, name, payload).unwrap();
    [&head, payload].concat()
}

#[test]
fn messages_are_counted_however_they_are_cut() {
    let stream = [message("a", b"1"), message("b", b""), message("long", &[7; 300])].concat();
    for size in 1..stream.len() {
        let mut lengths = Lengths::default();
        assert_eq!(stream.chunks(size).map(|chunk| lengths.count(chunk)).sum::<u64>(), 3, "{size} bytes at a time");
        assert!(!lengths.inside());
    }
}

#[test]
fn an_unfinished_message_does_not_count() {
    let stream = message("a", b"payload");
    let mut lengths = Lengths::default();
    assert_eq!(lengths.advance(&stream[..stream.len() - 1]), (0, 0));
    assert!(lengths.inside());
    assert_eq!(lengths.advance(&stream[stream.len() - 1..]), (1, 1));
}

#[test]
fn a_message_is_read_as_it_was_written() {
    let stream = message("name", b"payload");
    let body = first_body(&stream).unwrap();
    assert_eq!(parts(body), Ok(("name", &b"payload"[..])));
    assert_eq!(first_body(&stream[..stream.len() - 1]), Err(stream.len()));
    assert_eq!(first_body(&stream[..3]), Err(LENGTH));
}

#[test]
fn messages_of_several_sources_arrive_whole_also_when_they_come_in_parts() {
    let directory = std::env::temp_dir().join(format!("nanostate-relay-test-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let place = Place { directory: directory.clone(), port: 0 };
    let floor = Floor { name: "floor ipc", transport: Transport::Ipc };
    let listener = OwnedFd::from(UnixListener::bind(socket_path(&place)).unwrap());
    thread::spawn(move || Relay::new(listener, false).and_then(|mut relay| relay.run()));
    let mut sink = floor.subscriber(&place, "sink", &[]).unwrap();
    let mut slow = floor.connect(&place, PUBLISHES).unwrap();
    let mut quick = floor.publisher(&place, "quick").unwrap();
    let mut settled = |name: &str, publish: &mut dyn FnMut()| loop {
        publish();
        let found = sink.serve(Duration::from_millis(50), &mut |_, arrived, _| match arrived == name {
            true => Flow::Stop,
            false => Flow::More,
        });
        if found.unwrap() {
            return;
        }
    };
    settled("slow", &mut || slow.publish("slow", b"").unwrap());
    settled("quick", &mut || quick.publish("quick", b"").unwrap());

    let large = message("large", &[1; 1 << 20]);
    slow.socket.write_all(&large[..1000]).unwrap();
    for _ in 0..100 {
        quick.publish("small", b"2").unwrap();
    }
    slow.socket.write_all(&large[1000..]).unwrap();
    let mut seen = Vec::new();
    let all = sink.serve(Duration::from_secs(60), &mut |_, name, payload| {
        if name != "slow" && name != "quick" {
            seen.push((name.to_string(), payload.len()));
        }
        match seen.len() {
            101 => Flow::Stop,
            _ => Flow::More,
        }
    });
    assert_eq!(all, Ok(true), "{} of 101 arrived", seen.len());
    assert_eq!(seen.iter().filter(|(name, size)| name == "large" && *size == 1 << 20).count(), 1);
    assert_eq!(seen.iter().filter(|(name, size)| name == "small" && *size == 1).count(), 100);
    std::fs::remove_dir_all(directory).unwrap();
}
