//! A real nginx between this test, which plays the caller, and this test again, which plays the instances.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::Child,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Duration,
};

use switchboard_fleet::config::Config;
use switchboard_nginx::{Front, FrontError};

/// Nothing here takes so long; it only keeps a failing test from hanging.
const PATIENCE: Duration = Duration::from_secs(20);

/// One server: nginx and some instances.
pub(crate) struct Scene {
    /// Its configuration.
    pub(crate) config: Config,
    /// Its front.
    pub(crate) front: Front,
    arrivals: Receiver<(usize, TcpStream)>,
    nginx: Option<Child>,
    _folder: tempfile::TempDir,
}

/// One end of a connection with a request or an answer on it.
pub(crate) struct End {
    /// Start line and headers, lines ended by LF.
    pub(crate) head: String,
    stream: BufReader<TcpStream>,
}

/// A port that nothing listens on.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn accept(index: usize, to: Sender<(usize, TcpStream)>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(
        move || while listener.accept().is_ok_and(|(stream, _)| to.send((index, stream)).is_ok()) {},
    );
    port
}

impl Scene {
    /// nginx in front of `instances` of them; `change` is the last to touch the configuration.
    pub(crate) fn new(instances: usize, change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (sender, arrivals) = channel();
        let mut config = Config {
            state_dir: folder.path().join("var"),
            instances: (0..instances).map(|index| accept(index, sender.clone())).collect(),
            ..Config::default()
        };
        config.front.control = folder.path().join("run/front.sock");
        change(&mut config);
        loop {
            // Between being found free and being taken, a port may go to somebody else.
            config.front.listen = vec![format!("127.0.0.1:{}", free_port()).parse().unwrap()];
            let front = Front::new(&config).unwrap();
            let applied = front.apply(&config).unwrap();
            assert!(!applied.live);
            match front.start(&config, applied.generation) {
                Ok(nginx) => {
                    return Self { config, front, arrivals, nginx: Some(nginx), _folder: folder };
                }
                Err(FrontError::Address { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The port of an instance.
    pub(crate) fn port(&self, index: usize) -> u16 {
        self.config.instances[index]
    }

    /// Opens a connection to the front and sends `bytes`.
    pub(crate) fn send(&self, bytes: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.config.front.listen[0]).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(bytes.as_bytes()).unwrap();
        stream
    }

    /// Sends a POST without body to `path`.
    pub(crate) fn post(&self, path: &str) -> TcpStream {
        self.send(&format!("POST {path} HTTP/1.1\r\nHost: front.test\r\nContent-Length: 0\r\n\r\n"))
    }

    /// The next request at any instance, and whose it is.
    pub(crate) fn arrival(&self) -> (usize, End) {
        let (index, stream) = self.arrivals.recv_timeout(PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        (index, End::read(stream))
    }

    /// Whether nothing came to any instance.
    pub(crate) fn nothing_arrived(&self) -> bool {
        self.arrivals.try_recv().is_err()
    }

    /// Sends a POST to `path`, answers it at the instance it comes to, and tells which that is.
    pub(crate) fn serve(&self, path: &str) -> usize {
        let caller = self.post(path);
        let (index, mut instance) = self.arrival();
        instance.write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(End::read(caller).status(), 200);
        index
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.nginx.take().into_iter().for_each(Front::end);
    }
}

impl End {
    /// Reads a head; what follows stays to be read.
    pub(crate) fn read(stream: TcpStream) -> Self {
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(stream.read_line(&mut head).unwrap(), 0, "the connection ended in a head: {head:?}");
        }
        Self { head: head.replace("\r\n", "\n"), stream }
    }

    /// The status of an answer.
    pub(crate) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// All values of a header, as they came.
    pub(crate) fn header(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    /// The next `count` bytes of the body, as sent.
    pub(crate) fn body(&mut self, count: usize) -> String {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    /// Everything up to the end of the connection.
    pub(crate) fn rest(&mut self) -> String {
        let mut text = String::new();
        self.stream.read_to_string(&mut text).unwrap();
        text
    }

    /// Sends to the other side.
    pub(crate) fn write(&mut self, text: &str) {
        self.stream.get_mut().write_all(text.as_bytes()).unwrap();
    }
}
