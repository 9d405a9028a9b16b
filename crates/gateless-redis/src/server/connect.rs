//! One connection, to the server that serves the keys.

use std::error::Error;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Cmd, FromRedisValue, Pipeline, RedisConnectionInfo, Value, cmd,
};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::endpoint::{Address, Endpoint};
use super::{Place, Settings};
use crate::error::Fault;

/// Whoever waits on purpose notices a peer that is gone without a word, and what lies between does not forget us.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new().with_time(Duration::from_secs(15));

/// A connection that closes when it is dropped, whatever is under way on it.
#[derive(Debug)]
pub(crate) struct Connection {
    requests: MultiplexedConnection,
    driver: JoinHandle<()>,
    at: String,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    /// To the master that has `key`, logged in.
    pub(crate) async fn open(settings: &Settings, key: &[u8]) -> Result<Self, Fault> {
        let deadline = settings.connect_deadline;
        match timeout(deadline, find(settings, key)).await {
            Ok(found) => found,
            Err(_) => Err(Fault::Silent {
                what: "connecting",
                after: deadline,
            }),
        }
    }

    /// Whether somebody could still answer.
    pub(crate) fn is_open(&self) -> bool {
        !self.driver.is_finished()
    }

    /// What requests go out on. It is of no use once this is dropped.
    pub(crate) fn requests(&self) -> Requests {
        Requests {
            requests: self.requests.clone(),
            at: self.at.clone(),
        }
    }

    /// Refuses a server that may forget on its own. Who may not ask that has to know it.
    pub(crate) async fn refuse_eviction(&self, within: Duration) -> Result<(), Fault> {
        let mut command = cmd("INFO");
        command.arg("memory");
        let mut requests = self.requests();
        let info = requests.ask::<String>("INFO memory", &command, within);
        match info.await {
            Ok(info) => match info
                .lines()
                .find_map(|line| line.strip_prefix("maxmemory_policy:"))
            {
                Some(policy) if policy.trim() != "noeviction" => Err(Fault::Evicts {
                    policy: policy.trim().to_owned(),
                }),
                _ => Ok(()),
            },
            Err(Fault::Command { source, .. }) if source.code() == Some("NOPERM") => Ok(()),
            Err(fault) => Err(fault),
        }
    }
}

/// The sending end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Requests {
    requests: MultiplexedConnection,
    at: String,
}

impl Requests {
    pub(crate) async fn ask<T: FromRedisValue>(
        &mut self,
        what: &'static str,
        command: &Cmd,
        within: Duration,
    ) -> Result<T, Fault> {
        let answer = timeout(within, command.query_async(&mut self.requests)).await;
        let answer = answer.map_err(|_| Fault::Silent {
            what,
            after: within,
        })?;
        answer.map_err(|source| Fault::Command { what, source })
    }

    pub(crate) async fn ask_all<T: FromRedisValue>(
        &mut self,
        what: &'static str,
        commands: &Pipeline,
        within: Duration,
    ) -> Result<T, Fault> {
        let answer = timeout(within, commands.query_async(&mut self.requests)).await;
        let answer = answer.map_err(|_| Fault::Silent {
            what,
            after: within,
        })?;
        answer.map_err(|source| Fault::Command { what, source })
    }

    /// Holds the answer of `ROLE` against what we need.
    pub(crate) fn judge_role(&self, role: &Value) -> Result<(), Fault> {
        let Value::Array(parts) = role else {
            return Err(Fault::Garbled { what: "ROLE" });
        };
        match parts.first() {
            Some(Value::BulkString(name)) if name == b"master" => Ok(()),
            Some(_) => Err(Fault::Replica {
                at: self.at.clone(),
            }),
            None => Err(Fault::Garbled { what: "ROLE" }),
        }
    }
}

async fn find(settings: &Settings, key: &[u8]) -> Result<Connection, Fault> {
    let connection = match &settings.place {
        Place::One(endpoint) => server(settings, endpoint).await?,
        Place::Sentinel { master, sentinels } => {
            let endpoint = of_sentinel(settings, master, sentinels).await?;
            server(settings, &endpoint).await?
        }
        Place::Cluster(nodes) => of_cluster(settings, key, nodes).await?,
    };
    let mut requests = connection.requests();
    let command = cmd("ROLE");
    let role = requests.ask("ROLE", &command, settings.connect_deadline);
    let role = role.await?;
    requests.judge_role(&role)?;
    Ok(connection)
}

async fn of_sentinel(
    settings: &Settings,
    master: &str,
    sentinels: &[Endpoint],
) -> Result<Endpoint, Fault> {
    let asked = sentinels.iter().map(|sentinel| async move {
        let info = login(sentinel.user.as_deref(), sentinel.password.as_deref());
        let connection = dial(settings, sentinel, &info).await?;
        let mut command = cmd("SENTINEL");
        command.arg("GET-MASTER-ADDR-BY-NAME").arg(master);
        let what = "SENTINEL GET-MASTER-ADDR-BY-NAME";
        let mut requests = connection.requests();
        let known: Option<(String, u16)> = requests
            .ask(what, &command, settings.connect_deadline)
            .await?;
        let (host, port) = known.ok_or(Fault::NoMaster { source: None })?;
        Ok(sentinel.elsewhere(host, port))
    });
    let first = first_of(asked).await;
    first.map_err(|last| Fault::NoMaster {
        source: last.map(Box::new),
    })
}

async fn of_cluster(
    settings: &Settings,
    key: &[u8],
    nodes: &[Endpoint],
) -> Result<Connection, Fault> {
    let asked = nodes.iter().map(|node| async move {
        let connection = server(settings, node).await?;
        let mut commands = Pipeline::new();
        commands.cmd("CLUSTER").arg("KEYSLOT").arg(key);
        commands.cmd("CLUSTER").arg("SLOTS");
        let mut requests = connection.requests();
        let within = settings.connect_deadline;
        let (slot, slots): (i64, Value) =
            requests.ask_all("CLUSTER SLOTS", &commands, within).await?;
        let Some((host, port)) = owner(slot, &slots) else {
            return Err(Fault::NoNode { source: None });
        };
        // A node that does not know how others call it leaves its name out.
        let host = host.unwrap_or_else(|| node.host().to_owned());
        let owner = node.elsewhere(host, port);
        if owner == *node {
            return Ok(connection);
        }
        server(settings, &owner).await
    });
    let first = first_of(asked).await;
    first.map_err(|last| Fault::NoNode {
        source: last.map(Box::new),
    })
}

/// The first that goes well of several at once, so that one that hangs takes no time from the others; or what went wrong
/// last.
async fn first_of<T, F: Future<Output = Result<T, Fault>>>(
    tries: impl Iterator<Item = F>,
) -> Result<T, Option<Fault>> {
    let mut tries: Vec<_> = tries.map(Box::pin).collect();
    let mut last = None;
    poll_fn(|context| {
        let mut won = None;
        tries.retain_mut(|one| {
            if won.is_some() {
                return true;
            }
            match one.as_mut().poll(context) {
                Poll::Pending => return true,
                Poll::Ready(Ok(found)) => won = Some(found),
                Poll::Ready(Err(fault)) => last = Some(fault),
            }
            false
        });
        match won {
            Some(found) => Poll::Ready(Ok(found)),
            None if tries.is_empty() => Poll::Ready(Err(last.take())),
            None => Poll::Pending,
        }
    })
    .await
}

/// Who has `slot`, of what `CLUSTER SLOTS` says: rows of first slot, last slot, master, replicas.
fn owner(slot: i64, slots: &Value) -> Option<(Option<String>, u16)> {
    let Value::Array(rows) = slots else {
        return None;
    };
    rows.iter().find_map(|row| {
        let Value::Array(row) = row else { return None };
        let [
            Value::Int(first),
            Value::Int(last),
            Value::Array(master),
            ..,
        ] = row.as_slice()
        else {
            return None;
        };
        let [host, Value::Int(port), ..] = master.as_slice() else {
            return None;
        };
        let host = match host {
            Value::BulkString(host) if !host.is_empty() => {
                Some(String::from_utf8(host.clone()).ok()?)
            }
            _ => None,
        };
        let port = u16::try_from(*port).ok()?;
        (*first..=*last).contains(&slot).then_some((host, port))
    })
}

async fn server(settings: &Settings, endpoint: &Endpoint) -> Result<Connection, Fault> {
    let info = login(settings.user.as_deref(), settings.password.as_deref());
    dial(settings, endpoint, &info.set_db(endpoint.database)).await
}

/// What is older than `CLIENT SETINFO` would refuse it, and an ACL need not allow it.
fn login(user: Option<&str>, password: Option<&str>) -> RedisConnectionInfo {
    let mut info = RedisConnectionInfo::default().set_skip_set_lib_name();
    if let Some(user) = user {
        info = info.set_username(user);
    }
    if let Some(password) = password {
        info = info.set_password(password);
    }
    info
}

async fn dial(
    settings: &Settings,
    endpoint: &Endpoint,
    info: &RedisConnectionInfo,
) -> Result<Connection, Fault> {
    let dialled = async {
        match &endpoint.at {
            Address::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                SockRef::from(&stream).set_tcp_keepalive(&KEEPALIVE)?;
                match settings.tls.as_ref().filter(|_| endpoint.tls) {
                    Some(tls) => drive(info, tls.connect(host, stream).await?).await,
                    None => drive(info, stream).await,
                }
            }
            #[cfg(unix)]
            Address::Unix(path) => drive(info, UnixStream::connect(path).await?).await,
            #[cfg(not(unix))]
            Address::Unix(_) => Err("this system has no unix sockets".into()),
        }
    };
    let (requests, driver) = dialled.await.map_err(|source| Fault::Connect {
        at: endpoint.name(),
        source,
    })?;
    Ok(Connection {
        requests,
        driver,
        at: endpoint.name(),
    })
}

/// Deadlines are ours, as some calls wait on purpose.
async fn drive<S>(
    info: &RedisConnectionInfo,
    stream: S,
) -> Result<(MultiplexedConnection, JoinHandle<()>), Box<dyn Error + Send + Sync>>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let (requests, driver) = MultiplexedConnection::new_with_config(info, stream, config).await?;
    Ok((requests, spawn(driver)))
}

fn spawn(driver: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(driver)
}
