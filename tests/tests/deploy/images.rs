//! What the images hold, and that they need no more rights than none.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use apollo_tests::harness::skip;

use crate::{
    engine::{Engine, missing},
    read,
};

/// What the engine puts into every container's root, whatever its image holds.
const OF_THE_ENGINE: &[&str] = &[".dockerenv", "dev", "etc", "proc", "sys"];

#[test]
fn the_images_hold_one_program_and_run_it_as_nobody_without_writing() -> Result<()> {
    if let Some(why) = missing() {
        return skip("deploy/Dockerfile", why);
    }
    let engine = Engine::with_images()?;
    for image in ["apollo-gateway", "apollo-agent"] {
        let inspected = engine.docker(&["image", "inspect", image])?.success()?.json()?;
        let config = &inspected[0]["Config"];
        ensure!(config["User"] == "65532:65532", "{image}: {config}");
        let label = |name: &str| &config["Labels"][format!("org.opencontainers.image.{name}")];
        ensure!(label("title") == image, "{config}");
        ensure!(label("licenses") == "Apache-2.0", "{config}");

        ensure!(
            files(&engine, image)? == BTreeSet::from([image.to_owned(), "data".to_owned()]),
            "{image} holds {:?}",
            files(&engine, image)?
        );

        let confined = ["run", "--rm", "--read-only", "--cap-drop=ALL", "--network=none"];
        let version = engine
            .docker(&[&confined[..], &[image, "--version"]].concat())?
            .success()?;
        ensure!(version.stdout.starts_with(image), "{version:?}");
    }
    a_new_volume_belongs_to_the_images_user(&engine)
}

/// The names in the root of an image, but for those of the engine.
fn files(engine: &Engine, image: &str) -> Result<BTreeSet<String>> {
    let container = engine.docker(&["create", image])?.success()?.stdout;
    let archive = engine.sandbox.join("image.tar").display().to_string();
    engine
        .docker(&["export", "-o", &archive, container.trim()])?
        .success()?;
    engine.docker(&["rm", container.trim()])?.success()?;
    let listed = engine.run("tar", &["-tf", &archive], None)?.success()?.stdout;
    let roots = listed.lines().filter_map(|line| line.split('/').next());
    let own = roots.filter(|name| !OF_THE_ENGINE.contains(name));
    Ok(own.map(str::to_owned).collect())
}

/// A store can be made on it, and is there for the next container.
fn a_new_volume_belongs_to_the_images_user(engine: &Engine) -> Result<()> {
    let confined = [
        "run",
        "--rm",
        "-i",
        "--read-only",
        "--cap-drop=ALL",
        "--network=none",
    ];
    let in_volume = ["-v", "fresh:/data", "apollo-gateway"];
    let store = ["--store", "embedded:/data/gateway.db"];
    let run = |command: &[&str], stdin: Option<&[u8]>| {
        let all = [&confined, &in_volume[..], command, &store].concat();
        engine.run("docker", &all, stdin)?.success()
    };
    let manifest = read("deploy/examples/self-check.yaml")?;
    run(&["apply", "-f", "-"], Some(manifest.as_bytes()))?;
    let kept = run(&["get", "deviceprocesses", "self-check", "-o", "json"], None)?;
    ensure!(kept.json()?["spec"]["deviceRef"]["name"] == "buoy-17", "{kept:?}");
    Ok(())
}
