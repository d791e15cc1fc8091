//! Redis: publish and subscribe over a Unix socket, with hiredis.

use super::peer;
use crate::system::System;

const NAME: &str = "redis unix";

#[cfg(not(have_hiredis))]
pub fn systems() -> Vec<Box<dyn System>> {
    vec![peer::Absent::boxed(NAME, "libhiredis-dev")]
}

#[cfg(have_hiredis)]
pub fn systems() -> Vec<Box<dyn System>> {
    vec![Box::new(here::Redis)]
}

#[cfg(have_hiredis)]
mod here {
    use std::ffi::{c_char, c_int, c_void};
    use std::mem::offset_of;
    use std::os::unix::net::UnixStream;
    use std::path::PathBuf;
    use std::process::Command;
    use std::time::Duration;

    use super::peer;
    use crate::drain::FrameCounter;
    use crate::system::{Crowd, Flow, Handler, Place, Publisher, Result, Subscriber, System};

    include!(concat!(env!("OUT_DIR"), "/hiredis.rs"));

    const PROGRAM: &str = "redis-server";
    const PACKAGE: &str = "redis-server";

    /// The head of redisContext.
    #[repr(C)]
    struct RawContext {
        err: c_int,
        errstr: [c_char; 128],
        fd: c_int,
    }

    const _: () = assert!(
        offset_of!(RawContext, err) == REDISCONTEXT_ERR
            && offset_of!(RawContext, errstr) == REDISCONTEXT_ERRSTR
            && offset_of!(RawContext, fd) == REDISCONTEXT_FD
    );

    extern "C" {
        fn redisConnectUnix(path: *const c_char) -> *mut RawContext;
        fn redisFree(context: *mut RawContext);
        fn redisAppendCommandArgv(
            context: *mut RawContext,
            count: c_int,
            arguments: *const *const c_char,
            sizes: *const usize,
        ) -> c_int;
        fn redisBufferWrite(context: *mut RawContext, done: *mut c_int) -> c_int;
        fn redisBufferRead(context: *mut RawContext) -> c_int;
        fn redisGetReplyFromReader(context: *mut RawContext, reply: *mut *mut c_void) -> c_int;
        fn freeReplyObject(reply: *mut c_void);
    }

    /// A reply, freed with all that is in it.
    struct Reply(*mut c_void);

    impl Drop for Reply {
        fn drop(&mut self) {
            // SAFETY: it came from the reader and is freed once.
            unsafe { freeReplyObject(self.0) };
        }
    }

    impl Reply {
        fn element(&self, index: usize) -> Result<&[u8]> {
            // SAFETY: the reply is whole.
            let reply = unsafe { View::of(&self.0) };
            reply.elements()?.get(index).ok_or_else(|| format!("a reply of Redis has no element {index}"))?.bytes()
        }

        /// The elements of an array; an error of the server is an error.
        fn len(&self) -> Result<usize> {
            // SAFETY: the reply is whole.
            unsafe { View::of(&self.0) }.elements().map(<[View]>::len)
        }
    }

    /// A redisReply. Its fields moved between versions, so each is read where the header says it is.
    #[repr(transparent)]
    struct View(*const u8);

    impl View {
        /// # Safety
        /// The pointer is to a redisReply that lives as long as the result.
        unsafe fn of(pointer: &*mut c_void) -> &View {
            // SAFETY: View is a pointer and nothing else.
            unsafe { &*std::ptr::from_ref(pointer).cast() }
        }

        /// # Safety
        /// At `offset` there is a T.
        unsafe fn field<T: Copy>(&self, offset: usize) -> T {
            // SAFETY: by the contracts of this function and of `of`.
            unsafe { self.0.add(offset).cast::<T>().read() }
        }

        fn kind(&self) -> c_int {
            // SAFETY: `type` is an int.
            unsafe { self.field(REDISREPLY_TYPE) }
        }

        fn bytes(&self) -> Result<&[u8]> {
            match self.kind() {
                REDIS_REPLY_STRING | REDIS_REPLY_ERROR => {
                    // SAFETY: `len` bytes are at `str`, which lives as long as the reply.
                    Ok(unsafe { std::slice::from_raw_parts(self.field(REDISREPLY_STR), self.field(REDISREPLY_LEN)) })
                }
                kind => Err(format!("Redis replied with type {kind} where a string belongs")),
            }
        }

        fn elements(&self) -> Result<&[View]> {
            match self.kind() {
                REDIS_REPLY_ARRAY => {
                    // SAFETY: `element` points to that many pointers to replies.
                    Ok(unsafe {
                        std::slice::from_raw_parts(self.field(REDISREPLY_ELEMENT), self.field(REDISREPLY_ELEMENTS))
                    })
                }
                REDIS_REPLY_ERROR => Err(format!("Redis says: {}", String::from_utf8_lossy(self.bytes()?))),
                kind => Err(format!("Redis replied with type {kind} where an array belongs")),
            }
        }
    }

    struct Context(*mut RawContext);

    impl Drop for Context {
        fn drop(&mut self) {
            // SAFETY: it is not used any more.
            unsafe { redisFree(self.0) };
        }
    }

    impl Context {
        fn connect(place: &Place) -> Result<Context> {
            let path = socket(place);
            let name = peer::c_string(peer::text(&path)?)?;
            peer::until_there(|| {
                // SAFETY: the text lives until the call returns.
                let context = unsafe { redisConnectUnix(name.as_ptr()) };
                if context.is_null() {
                    return Err("hiredis has no memory for a connection".into());
                }
                let context = Context(context);
                context.check(&format!("connect to {}", path.display()))?;
                Ok(context)
            })
        }

        /// The error that the connection is in, if it is in one.
        fn check(&self, what: &str) -> Result<()> {
            // SAFETY: the head of the context is there, and `errstr` ends with a NUL.
            match unsafe { (*self.0).err } {
                0 => Ok(()),
                // SAFETY: as above.
                _ => Err(format!("hiredis cannot {what}: {}", unsafe { peer::words((*self.0).errstr.as_ptr()) })),
            }
        }

        /// Adds a command to what is written next.
        fn append(&mut self, arguments: &[&[u8]]) -> Result<()> {
            const MOST: usize = 8;
            let mut texts = [std::ptr::null(); MOST];
            let mut sizes = [0; MOST];
            if arguments.len() > MOST {
                return Err(format!("a command of {} words; {MOST} are the most here", arguments.len()));
            }
            for (index, argument) in arguments.iter().enumerate() {
                (texts[index], sizes[index]) = (argument.as_ptr().cast(), argument.len());
            }
            let count = arguments.len() as c_int;
            // SAFETY: as many texts and sizes as it says, copied.
            unsafe { redisAppendCommandArgv(self.0, count, texts.as_ptr(), sizes.as_ptr()) };
            self.check("take a command")
        }

        /// Writes all that was added; waits while the server does not read.
        fn write(&mut self) -> Result<()> {
            let mut done = 0;
            while done == 0 {
                // SAFETY: the context lives, and there is an int to write to.
                unsafe { redisBufferWrite(self.0, &mut done) };
                self.check("write")?;
            }
            Ok(())
        }

        /// The next reply, or None when there is none within `patience`.
        fn reply(&mut self, patience: Duration) -> Result<Option<Reply>> {
            loop {
                let mut reply = std::ptr::null_mut();
                // SAFETY: the context lives, and there is a pointer to write to.
                unsafe { redisGetReplyFromReader(self.0, &mut reply) };
                self.check("understand a reply")?;
                if !reply.is_null() {
                    return Ok(Some(Reply(reply)));
                }
                // hiredis breaks a connection that waited in vain, so the wait is here.
                // SAFETY: the head of the context is there.
                if !peer::wait_for(unsafe { (*self.0).fd }, libc::POLLIN, patience)? {
                    return Ok(None);
                }
                // SAFETY: the context lives.
                unsafe { redisBufferRead(self.0) };
                self.check("read")?;
            }
        }
    }

    /// A connection for publishing: a connection that is subscribed takes no PUBLISH.
    struct Sender {
        context: Context,
        buffered: usize,
    }

    impl Sender {
        /// What is buffered before it is written by itself: as much as hiredis reads and the server reads at once.
        const BUFFER: usize = 16 * 1024;

        fn connect(place: &Place) -> Result<Sender> {
            let mut context = Context::connect(place)?;
            // The server need not report the number of receivers, which is not read. CLIENT REPLY: "useful … when the
            // client sends fire and forget commands", https://redis.io/docs/latest/commands/client-reply/
            context.append(&[b"CLIENT", b"REPLY", b"OFF"])?;
            context.write()?;
            Ok(Sender { context, buffered: 0 })
        }
    }

    impl Publisher for Sender {
        /// Pipelined: many commands in one write. https://redis.io/docs/latest/develop/use/pipelining/
        fn publish(&mut self, name: &str, payload: &[u8]) -> Result<()> {
            self.context.append(&[b"PUBLISH", name.as_bytes(), payload])?;
            self.buffered += name.len() + payload.len();
            if self.buffered < Self::BUFFER {
                return Ok(());
            }
            self.flush()
        }

        fn flush(&mut self) -> Result<()> {
            self.buffered = 0;
            self.context.write()
        }
    }

    /// Publishes at once: it answers, and nothing is to wait for more.
    struct Prompt(Sender);

    impl Publisher for Prompt {
        fn publish(&mut self, name: &str, payload: &[u8]) -> Result<()> {
            self.0.publish(name, payload)?;
            self.0.flush()
        }
    }

    /// Hears what it publishes itself when it is subscribed to that name: Redis cannot leave that out.
    struct Client {
        receiver: Context,
        sender: Prompt,
        /// Where the name is in a message; the payload comes after it.
        name: usize,
    }

    impl Publisher for Client {
        fn publish(&mut self, name: &str, payload: &[u8]) -> Result<()> {
            self.sender.publish(name, payload)
        }
    }

    impl Subscriber for Client {
        fn serve(&mut self, patience: Duration, handler: &mut Handler<'_>) -> Result<bool> {
            while let Some(reply) = self.receiver.reply(patience)? {
                let name = peer::name_text(reply.element(self.name)?)?;
                if handler(&mut self.sender, name, reply.element(self.name + 1)?) == Flow::Stop {
                    return Ok(true);
                }
            }
            Ok(false)
        }
    }

    /// Counts arrays, whatever is in them: on a connection that is subscribed to a pattern each is one message.
    #[derive(Default)]
    struct Arrays {
        /// The line that is not whole yet, without what ends it.
        line: Vec<u8>,
        /// Bytes of a string that are still to come, with the line end after it.
        skip: usize,
        /// Elements of the array that are still to come.
        elements: u64,
    }

    impl Arrays {
        /// One more element is whole; 1 if the array is with it.
        fn element(&mut self) -> u64 {
            self.elements = self.elements.saturating_sub(1);
            u64::from(self.elements == 0)
        }

        fn line(&mut self) -> u64 {
            let line = std::mem::take(&mut self.line);
            let number = || std::str::from_utf8(&line[1..]).ok().and_then(|text| text.trim_end().parse::<u64>().ok());
            let complete = match line.first() {
                Some(b'*') => {
                    self.elements = number().unwrap_or(0);
                    0
                }
                Some(b'$') => match number() {
                    Some(size) => {
                        self.skip = size as usize + 2;
                        0
                    }
                    None => self.element(),
                },
                _ => self.element(),
            };
            self.line = line;
            self.line.clear();
            complete
        }
    }

    impl FrameCounter for Arrays {
        fn count(&mut self, mut bytes: &[u8]) -> u64 {
            let mut complete = 0;
            while !bytes.is_empty() {
                if self.skip > 0 {
                    let skipped = self.skip.min(bytes.len());
                    bytes = &bytes[skipped..];
                    self.skip -= skipped;
                    if self.skip == 0 {
                        complete += self.element();
                    }
                    continue;
                }
                let end = bytes.iter().position(|&byte| byte == b'\n');
                self.line.extend_from_slice(&bytes[..end.unwrap_or(bytes.len())]);
                bytes = &bytes[end.map_or(bytes.len(), |end| end + 1)..];
                if end.is_some() {
                    complete += self.line();
                }
            }
            complete
        }
    }

    fn socket(place: &Place) -> PathBuf {
        place.directory.join("redis.sock")
    }

    pub struct Redis;

    impl System for Redis {
        fn name(&self) -> &'static str {
            super::NAME
        }

        fn version(&self) -> Result<String> {
            let server = peer::server_version(PROGRAM, PACKAGE, "--version", "v=")?;
            Ok(format!("Redis {server}, hiredis {HIREDIS_MAJOR}.{HIREDIS_MINOR}.{HIREDIS_PATCH}"))
        }

        fn hub(&self, place: &Place) -> Option<Result<Command>> {
            let directory = place.directory.display();
            let configuration = [
                // A Unix socket only: its latency "can be as low as 30 us".
                // https://redis.io/docs/latest/operate/oss_and_stack/management/optimization/latency/
                "port 0".to_string(),
                format!("unixsocket \"{}\"", socket(place).display()),
                "unixsocketperm 700".to_string(),
                format!("dir \"{directory}\""),
                // No files: neither snapshots nor a log of commands. redis.conf: save, appendonly.
                "save \"\"".to_string(),
                "appendonly no".to_string(),
                // Receivers that are behind are not cut off. redis.conf: client-output-buffer-limit.
                "client-output-buffer-limit pubsub 0 0 0".to_string(),
                // "use "activerehashing no" if you have hard latency requirements". redis.conf: activerehashing.
                "activerehashing no".to_string(),
                "loglevel warning".to_string(),
                "daemonize no".to_string(),
            ]
            .join("\n");
            Some(peer::server(PROGRAM, PACKAGE, place, &(configuration + "\n"), &[]))
        }

        fn publisher(&self, place: &Place, _identity: &str) -> Result<Box<dyn Publisher>> {
            Ok(Box::new(Sender::connect(place)?))
        }

        fn subscriber(&self, place: &Place, _identity: &str, names: &[&str]) -> Result<Box<dyn Subscriber>> {
            let mut receiver = Context::connect(place)?;
            let sender = Prompt(Sender::connect(place)?);
            // A message is "pmessage", the pattern, the name, the payload; or "message", the name, the payload.
            let (command, all, name): (&[u8], &[&str], _) =
                if names.is_empty() { (b"PSUBSCRIBE", &["*"], 2) } else { (b"SUBSCRIBE", names, 1) };
            for what in all {
                receiver.append(&[command, what.as_bytes()])?;
            }
            receiver.write()?;
            for what in all {
                let answer = receiver.reply(peer::PATIENCE)?;
                answer.ok_or_else(|| format!("no answer to a subscription to {what}"))?.len()?;
            }
            Ok(Box::new(Client { receiver, sender, name }))
        }

        fn crowd(&self, place: &Place, n: usize) -> Result<Box<dyn Crowd>> {
            const REQUEST: &[u8] = b"*2\r\n$10\r\nPSUBSCRIBE\r\n$1\r\n*\r\n";
            let path = socket(place);
            peer::raw_crowd(
                n,
                || UnixStream::connect(&path),
                |_, socket| peer::ask(socket, REQUEST, b":1\r\n"),
                || Box::<Arrays>::default(),
            )
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        const MESSAGE: &[u8] = b"*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$3\r\na/b\r\n$5\r\n*\r\n$9\r\n";

        #[test]
        fn a_message_counts_once_however_it_is_cut() {
            for cut in 1..MESSAGE.len() {
                let mut counter = Arrays::default();
                assert_eq!(counter.count(&MESSAGE[..cut]), 0, "cut at {cut}");
                assert_eq!(counter.count(&MESSAGE[cut..]), 1, "cut at {cut}");
            }
        }

        #[test]
        fn messages_in_one_read_count_each() {
            let mut counter = Arrays::default();
            assert_eq!(counter.count(&MESSAGE.repeat(7)), 7);
            assert_eq!(counter.count(b"*3\r\n$10\r\npsubscribe\r\n$1\r\n*\r\n:1\r\n"), 1);
        }
    }
}
