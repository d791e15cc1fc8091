//! What a build without the feature `tls` has instead: types of which there is no value.

use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::os::fd::{AsRawFd, RawFd};

use crate::transport::socket::Stream;
use crate::transport::Host;
use crate::{Error, Result, Status};

fn unsupported<T>() -> Result<T> {
    Err(Error::new(Status::Unsupported, "not supported: TLS in a build without the feature `tls`"))
}

/// Makes connections of a hub.
#[derive(Clone, Debug)]
pub struct Acceptor(Infallible);

impl Acceptor {
    pub fn load(_chain: &str, _key: &str) -> Result<Acceptor> {
        unsupported()
    }

    pub fn reload(&self, _chain: &str, _key: &str) -> Result<()> {
        match self.0 {}
    }

    pub fn accept(&self, _stream: Stream) -> Result<TlsStream> {
        match self.0 {}
    }
}

/// Makes connections of an app.
#[derive(Clone, Debug)]
pub struct Connector(Infallible);

impl Connector {
    pub fn new(_ca: Option<&str>, _pins: Option<&str>) -> Result<Connector> {
        unsupported()
    }

    pub fn connect(&self, _stream: Stream, _host: &Host) -> Result<TlsStream> {
        match self.0 {}
    }
}

/// A connection.
#[derive(Debug)]
pub struct TlsStream(Infallible);

impl TlsStream {
    pub fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
        match self.0 {}
    }

    pub fn write(&mut self, _slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.0 {}
    }

    pub fn flush(&mut self) -> io::Result<bool> {
        match self.0 {}
    }

    pub fn is_flushed(&self) -> bool {
        match self.0 {}
    }

    pub fn is_drained(&self) -> bool {
        match self.0 {}
    }

    pub fn take_received(&mut self) -> usize {
        match self.0 {}
    }

    pub fn from(&self) -> Option<String> {
        match self.0 {}
    }

    pub fn host(&self) -> Option<IpAddr> {
        match self.0 {}
    }

    pub fn close(self) -> Stream {
        match self.0 {}
    }
}

impl AsRawFd for TlsStream {
    fn as_raw_fd(&self) -> RawFd {
        match self.0 {}
    }
}
