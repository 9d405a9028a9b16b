//! Servers of every kind: with users, with TLS, with a Sentinel, in a cluster.

use std::fs;
use std::time::{Duration, Instant};

use gateless_core::{
    Ask, Decision, LogTail, Quota, QuotaStore as _, RevocationLog as _, SharedStore as _, StoreKey,
};
use gateless_redis::{RedisLog, RedisQuotas, RedisServer, RedisServerBuilder, RedisStore};
use gateless_testkit::{revocation_log_conformance, shared_store_conformance};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::common::{PATIENCE, Server, eventually};
use crate::helpers::*;

/// As the documentation has it.
const ACL: &str = "on >canary ~{gateless}:* resetchannels -@all +evalsha +eval +hgetall +hget +hset +hdel +hlen +hmget \
    +hscan +xadd +xread +xrevrange +del +pexpireat +time +role +info +wait +select +get +set";

/// All that a fleet does, once.
async fn use_it(builder: RedisServerBuilder) {
    let server = builder.build().unwrap();
    server.check().await.unwrap();
    let log = RedisLog::builder(server.clone())
        .settle(NOTHING)
        .build()
        .unwrap();
    let (_, position) = load(&log).await.unwrap();
    log.append(&[revoke(1), revoke(2)]).await.unwrap();
    log.append(&[gateless_core::RevocationChange::Unrevoke(id(2))])
        .await
        .unwrap();
    let (seen, _) = changes(follow(&log, &position, A_WHILE).await);
    assert_eq!(seen.len(), 3);
    assert_eq!(load(&log).await.unwrap().0.len(), 1);
    let store = RedisStore::new(server.clone());
    let key = StoreKey::new([1; 32]);
    store.put(&key, vec![1], HOUR).await.unwrap();
    assert_eq!(store.get(&key).await.unwrap(), Some(vec![1]));
    let quotas = RedisQuotas::new(server);
    let limits = [Quota::per_day(100).check().unwrap()];
    let taken = quotas.take(&key, &limits, Ask::exactly(1)).await.unwrap();
    assert_eq!(taken.decision, Decision::Granted(1));
}

#[tokio::test]
async fn the_store_conforms() {
    let server = Server::start();
    let make = async || RedisStore::new(RedisServer::builder(server.url()).build().unwrap());
    shared_store_conformance(make, tokio::time::sleep).await;
}

#[tokio::test]
async fn the_log_conforms() {
    let server = Server::start();
    revocation_log_conformance(async || log(&server)).await;
}

#[tokio::test]
async fn a_user_with_the_documented_rights_is_enough() {
    let server = Server::start();
    let mut words = vec!["ACL", "SETUSER", "gateless"];
    words.extend(ACL.split_whitespace());
    assert_eq!(server.ask(&words).trim(), "OK");
    let with = |user, password| {
        RedisServer::builder(server.url())
            .user(user)
            .password(password)
    };
    use_it(with("gateless", "canary")).await;
    let url = server.url().replace("//", "//gateless:canary@");
    use_it(RedisServer::builder(url)).await;
    let documented = include_str!("../../src/lib.rs").replace("//!", "");
    let words = |text: &str| {
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let acl = words(ACL).replace(">canary", ">PASSWORD");
    assert!(words(&documented).contains(&acl), "{acl}");

    // A user that may not see how much memory there is has to know that by itself.
    server.ask(&["ACL", "SETUSER", "gateless", "-info"]);
    use_it(with("gateless", "canary").connect_deadline(A_WHILE)).await;
    server.ask(&["ACL", "SETUSER", "gateless", "-evalsha"]);
    let log = RedisLog::new(with("gateless", "canary").build().unwrap()).unwrap();
    let error = why(&log.append(&[revoke(1)]).await.unwrap_err());
    assert!(error.contains("ACL line"), "{error}");

    for (user, password) in [("gateless", "wrong-canary"), ("nobody", "canary")] {
        let server = with(user, password).build().unwrap();
        let log = RedisLog::new(server.clone()).unwrap();
        let error = log.append(&[revoke(1)]).await.unwrap_err();
        let printed = format!(
            "{} {server:?} {log:?} {:?} {:?}",
            why(&error),
            RedisStore::new(server.clone()),
            RedisQuotas::new(server.clone())
        );
        assert!(!printed.contains("canary"), "{printed}");
    }
}

/// An authority, and the certificate of a server with its key: all as PEM.
fn certificates() -> (String, String, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &ca).unwrap();
    (ca.pem(), certificate.pem(), key.serialize_pem())
}

#[tokio::test]
async fn a_server_with_tls_is_checked() {
    let (ca, certificate, key) = certificates();
    let (other_ca, ..) = certificates();
    let dir = crate::common::temp_dir();
    let file = |name: &str, pem: &str| {
        let path = dir.join(name);
        fs::write(&path, pem).unwrap();
        path.display().to_string()
    };
    let (ca_file, certificate_file, key_file) = (
        file("ca", &ca),
        file("certificate", &certificate),
        file("key", &key),
    );
    let server = Server::with(&[
        "--tls-port",
        "{port}",
        "--tls-cert-file",
        &certificate_file,
        "--tls-key-file",
        &key_file,
        "--tls-ca-cert-file",
        &ca_file,
        "--tls-auth-clients",
        "no",
    ]);
    for host in ["localhost", "127.0.0.1"] {
        let at = || RedisServer::builder(format!("rediss://{host}:{}", server.port()));
        use_it(at().ca_pem(ca.clone())).await;
        for builder in [
            at().ca_pem(other_ca.clone()),
            at().response_deadline(A_WHILE),
        ] {
            let Ok(server) = builder.build() else {
                // A system without authorities of its own.
                continue;
            };
            let error = why(&server.check().await.unwrap_err());
            assert!(error.contains("certificate"), "{error}");
        }
        let _ = RedisStore::new(at().ca_pem(ca.clone()).build().unwrap())
            .put(&StoreKey::new([1; 32]), vec![], HOUR)
            .await;
        // For the next host to begin with an empty log.
        let at = at().ca_pem(ca.clone()).build().unwrap();
        let log = RedisLog::new(at).unwrap();
        log.append(&[gateless_core::RevocationChange::Unrevoke(id(1))])
            .await
            .unwrap();
    }
    let plain = RedisServer::builder(format!("redis://127.0.0.1:{}", server.port()));
    plain.build().unwrap().check().await.unwrap_err();
    fs::remove_dir_all(dir).unwrap();
}

#[tokio::test]
async fn a_socket_of_unix_will_do() {
    let server = Server::with(&["--unixsocket", "{dir}/socket"]);
    use_it(RedisServer::builder(format!(
        "unix://{}/socket",
        server.dir().display()
    )))
    .await;
}

#[tokio::test]
async fn a_database_of_its_own_is_possible() {
    let server = Server::start();
    use_it(RedisServer::builder(format!("{}/3", server.url()))).await;
    assert_eq!(server.ask(&["KEYS", "*"]), "");
}

#[tokio::test]
async fn a_cluster_is_asked_where_the_keys_are() {
    let server = Server::with(&["--cluster-enabled", "yes"]);
    assert_eq!(
        server
            .ask(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"])
            .trim(),
        "OK"
    );
    eventually("the cluster is up", || {
        server
            .ask(&["CLUSTER", "INFO"])
            .contains("cluster_state:ok")
    });
    let nobody = format!("redis://127.0.0.1:{}", crate::common::free_port());
    use_it(RedisServer::cluster([nobody, server.url()])).await;
    let single = RedisServer::cluster([Server::start().url()])
        .build()
        .unwrap();
    single.check().await.unwrap_err();
}

fn replica_of(master: &Server) -> Server {
    let replica = Server::with(&["--replicaof", "127.0.0.1", &master.port().to_string()]);
    eventually("the replica follows", || {
        replica
            .ask(&["INFO", "replication"])
            .contains("master_link_status:up")
    });
    replica
}

#[tokio::test]
async fn replicas_confirm_what_they_have_and_are_not_read() {
    let master = Server::with(&["--repl-diskless-sync-delay", "0"]);
    let log = builder(&master).min_replicas(1).build().unwrap();
    let change = revoke(1);
    let error = why(&log.append(&[change]).await.unwrap_err());
    assert!(error.contains("0 of 1 replicas"), "{error}");
    let replica = replica_of(&master);
    // It was stored then, and is confirmed now.
    log.append(&[change]).await.unwrap();
    // Newer servers wait for the last write of a connection only, so there always is one.
    master.ask(&["HDEL", "{gateless}:revoked", "beat"]);
    log.append(&[change]).await.unwrap();
    assert_eq!(
        master
            .ask(&["HEXISTS", "{gateless}:revoked", "beat"])
            .trim(),
        "1"
    );
    let there = crate::helpers::log(&replica);
    let error = why(&load(&there).await.unwrap_err());
    assert!(error.contains("is a replica"), "{error}");
    assert_eq!(
        replica.ask(&["HGET", "{gateless}:revoked", "head"]).trim(),
        "1"
    );

    // A replica that hangs confirms nothing, also not that nothing had to be changed.
    replica.signal("STOP");
    let change = revoke(2);
    for change in [change, change] {
        let error = why(&log.append(&[change]).await.unwrap_err());
        assert!(error.contains("0 of 1 replicas"), "{error}");
    }
    replica.signal("CONT");
    eventually("the replica has it", || {
        replica.ask(&["HGET", "{gateless}:revoked", "head"]).trim() == "2"
    });
}

#[tokio::test]
async fn the_master_is_where_the_sentinel_says() {
    let mut master = Server::with(&["--repl-diskless-sync-delay", "0"]);
    let replica = replica_of(&master);
    let sentinel = Server::sentinel("m", master.port());
    let nobody = format!("redis://127.0.0.1:{}", crate::common::free_port());
    let urls = || [nobody.clone(), sentinel.url()];
    use_it(RedisServer::sentinel("m", urls())).await;
    let unknown = RedisServer::sentinel("unknown", urls()).build().unwrap();
    let error = why(&unknown.check().await.unwrap_err());
    assert!(error.contains("no sentinel knows"), "{error}");

    let at = RedisServer::sentinel("m", urls()).build().unwrap();
    let log = RedisLog::builder(at)
        .settle(NOTHING)
        .min_replicas(1)
        .build()
        .unwrap();
    log.append(&[revoke(10)]).await.unwrap();
    let (before, position) = load(&log).await.unwrap();
    eventually("the sentinel knows the replica", || {
        sentinel
            .ask(&["SENTINEL", "REPLICAS", "m"])
            .contains(&replica.port().to_string())
    });
    master.kill();
    let begin = Instant::now();
    let tail = loop {
        match log.follow(&position, Duration::from_millis(100)).await {
            Ok(tail) => break tail,
            Err(error) => assert!(begin.elapsed() < PATIENCE, "{}", why(&error)),
        }
    };
    println!("failover: {:?}", begin.elapsed());
    assert!(matches!(tail, LogTail::Changes { changes, .. } if changes.is_empty()));
    assert_eq!(load(&log).await.unwrap().0, before);
}
