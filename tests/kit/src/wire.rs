//! A wire to one node, which can be cut for some of those who call over it: told apart by the address they call from.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp},
    sync::watch,
};
use tokio_util::task::AbortOnDropHandle;

/// Bytes that are passed on at once.
const CHUNK: usize = 16 * 1024;

/// A wire to one node. Dropping it closes every connection over it.
pub struct Wire {
    addr: SocketAddr,
    target: Arc<Mutex<Option<SocketAddr>>>,
    cut: watch::Sender<BTreeSet<IpAddr>>,
    _task: AbortOnDropHandle<()>,
}

impl Wire {
    /// A wire that leads nowhere yet.
    ///
    /// # Panics
    /// There is no port for it.
    pub async fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (target, cut) = (Arc::new(Mutex::new(None)), watch::Sender::new(BTreeSet::new()));
        let task = tokio::spawn(accept(listener, target.clone(), cut.subscribe()));
        Self { addr, target, cut, _task: AbortOnDropHandle::new(task) }
    }

    /// Where to call.
    #[must_use]
    pub fn addr(&self) -> String {
        self.addr.to_string()
    }

    /// Leads to this node from now on.
    pub fn lead_to(&self, node: SocketAddr) {
        *self.target.lock() = Some(node);
    }

    /// From now on nothing goes over it, either way, for who calls from this address; connections stand and are silent, as
    /// where packets are lost.
    pub fn cut(&self, from: Ipv4Addr) {
        self.cut.send_modify(|cut| {
            cut.insert(from.into());
        });
    }

    /// What was held back for who calls from this address goes on, and what comes after it.
    pub fn mend(&self, from: Ipv4Addr) {
        self.cut.send_modify(|cut| {
            cut.remove(&IpAddr::from(from));
        });
    }
}

async fn accept(
    listener: TcpListener,
    target: Arc<Mutex<Option<SocketAddr>>>,
    cut: watch::Receiver<BTreeSet<IpAddr>>,
) {
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        let Ok((near, from)) = listener.accept().await else { continue };
        let target = *target.lock();
        let cut = cut.clone();
        tasks.spawn(async move {
            let Some(Ok(far)) = (match target {
                Some(target) => Some(TcpStream::connect(target).await),
                None => None,
            }) else {
                return;
            };
            let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
            tokio::select! {
                () = pass(near_in, far_out, from.ip(), cut.clone()) => {}
                () = pass(far_in, near_out, from.ip(), cut) => {}
            }
        });
    }
}

/// Passes on what comes, until either end hangs up. What comes while the wire is cut is held back.
async fn pass(
    mut from: tcp::OwnedReadHalf,
    mut to: tcp::OwnedWriteHalf,
    caller: IpAddr,
    mut cut: watch::Receiver<BTreeSet<IpAddr>>,
) {
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = from.read(&mut chunk).await;
        let Ok(count @ 1..) = read else { return };
        if cut.wait_for(|cut| !cut.contains(&caller)).await.is_err()
            || to.write_all(&chunk[..count]).await.is_err()
        {
            return;
        }
    }
}
