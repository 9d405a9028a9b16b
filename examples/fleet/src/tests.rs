use crate::redis::OwnRedis;
use crate::walk::{self, Shared};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_walk_is_right() {
    let redis = OwnRedis::start().await;
    let redis = redis.unwrap_or_else(|error| panic!("{error}"));
    let mut out = Vec::new();
    let is_right = walk::run(&mut Shared::Own(redis), &mut out).await.unwrap();
    let out = String::from_utf8(out).unwrap();
    assert!(is_right, "{out}");
    assert!(
        out.contains("refused by the last of 3 instances after"),
        "{out}"
    );
    assert!(out.contains("Redis is back"), "{out}");
}

#[tokio::test]
async fn a_missing_server_is_named_with_a_way_out() {
    let error = OwnRedis::start_program("/nowhere/redis-server".into()).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("/nowhere/redis-server"), "{error}");
    assert!(error.contains("cargo xtask test"), "{error}");
}
