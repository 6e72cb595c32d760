//! A redirect URI that is registered, and one that is presented.
#![no_main]

use grantor::types::RedirectUri;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| {
    let (registered, presented) = input;
    let Ok(uri) = registered.parse::<RedirectUri>() else { return };
    assert!(uri.matches(registered), "it is itself");
    let _ = (uri.origin(), uri.display_host(), uri.destination());
    if uri.matches(presented) && presented != registered {
        // RFC 8252 §7.3: nothing but the port of a loopback address may differ.
        assert_eq!(uri.destination(), grantor::types::redirect_uri::Destination::Loopback);
    }
});
