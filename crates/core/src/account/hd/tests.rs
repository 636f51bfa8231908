//! The published vectors 1 to 3 and 5 (invalid keys) of BIP32, two Status paths, and BIP39 vectors.

use proptest::prelude::*;

use super::*;
use crate::account::{Mnemonic, mnemonic::Language};

/// Seed, path, xprv, xpub.
const PUBLISHED: [[&str; 4]; 16] = [
    [
        "000102030405060708090a0b0c0d0e0f",
        "m",
        "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF\
         5kejMRNNU3TGtRBeJgk33yuGBxrMPHi",
        "xpub661MyMwAqRbcFtXgS5sYJABqqG9YLmC4Q1Rdap9gSE8NqtwybGhePY2gZ29ESFjqJoCu1Rupje8Y\
         tGqsefD265TMg7usUDFdp6W1EGMcet8",
    ],
    [
        "000102030405060708090a0b0c0d0e0f",
        "m/0'",
        "xprv9uHRZZhk6KAJC1avXpDAp4MDc3sQKNxDiPvvkX8Br5ngLNv1TxvUxt4cV1rGL5hj6KCesnDYUhd7\
         oWgT11eZG7XnxHrnYeSvkzY7d2bhkJ7",
        "xpub68Gmy5EdvgibQVfPdqkBBCHxA5htiqg55crXYuXoQRKfDBFA1WEjWgP6LHhwBZeNK1VTsfTFUHCd\
         rfp1bgwQ9xv5ski8PX9rL2dZXvgGDnw",
    ],
    [
        "000102030405060708090a0b0c0d0e0f",
        "m/0'/1",
        "xprv9wTYmMFdV23N2TdNG573QoEsfRrWKQgWeibmLntzniatZvR9BmLnvSxqu53Kw1UmYPxLgboyZQaX\
         wTCg8MSY3H2EU4pWcQDnRnrVA1xe8fs",
        "xpub6ASuArnXKPbfEwhqN6e3mwBcDTgzisQN1wXN9BJcM47sSikHjJf3UFHKkNAWbWMiGj7Wf5uMash7\
         SyYq527Hqck2AxYysAA7xmALppuCkwQ",
    ],
    [
        "000102030405060708090a0b0c0d0e0f",
        "m/0'/1/2'",
        "xprv9z4pot5VBttmtdRTWfWQmoH1taj2axGVzFqSb8C9xaxKymcFzXBDptWmT7FwuEzG3ryjH4ktypQS\
         AewRiNMjANTtpgP4mLTj34bhnZX7UiM",
        "xpub6D4BDPcP2GT577Vvch3R8wDkScZWzQzMMUm3PWbmWvVJrZwQY4VUNgqFJPMM3No2dFDFGTsxxpG5\
         uJh7n7epu4trkrX7x7DogT5Uv6fcLW5",
    ],
    [
        "000102030405060708090a0b0c0d0e0f",
        "m/0'/1/2'/2",
        "xprvA2JDeKCSNNZky6uBCviVfJSKyQ1mDYahRjijr5idH2WwLsEd4Hsb2Tyh8RfQMuPh7f7RtyzTtdrb\
         dqqsunu5Mm3wDvUAKRHSC34sJ7in334",
        "xpub6FHa3pjLCk84BayeJxFW2SP4XRrFd1JYnxeLeU8EqN3vDfZmbqBqaGJAyiLjTAwm6ZLRQUMv1ZAC\
         Tj37sR62cfN7fe5JnJ7dh8zL4fiyLHV",
    ],
    [
        "000102030405060708090a0b0c0d0e0f",
        "m/0'/1/2'/2/1000000000",
        "xprvA41z7zogVVwxVSgdKUHDy1SKmdb533PjDz7J6N6mV6uS3ze1ai8FHa8kmHScGpWmj4WggLyQjgPi\
         e1rFSruoUihUZREPSL39UNdE3BBDu76",
        "xpub6H1LXWLaKsWFhvm6RVpEL9P4KfRZSW7abD2ttkWP3SSQvnyA8FSVqNTEcYFgJS2UaFcxupHiYkro\
         49S8yGasTvXEYBVPamhGW6cFJodrTHy",
    ],
    [
        "fffcf9f6f3f0edeae7e4e1dedbd8d5d2cfccc9c6c3c0bdbab7b4b1aeaba8a5a29f9c999693908d8a\
         8784817e7b7875726f6c696663605d5a5754514e4b484542",
        "m",
        "xprv9s21ZrQH143K31xYSDQpPDxsXRTUcvj2iNHm5NUtrGiGG5e2DtALGdso3pGz6ssrdK4PFmM8NSpS\
         BHNqPqm55Qn3LqFtT2emdEXVYsCzC2U",
        "xpub661MyMwAqRbcFW31YEwpkMuc5THy2PSt5bDMsktWQcFF8syAmRUapSCGu8ED9W6oDMSgv6Zz8ido\
         c4a6mr8BDzTJY47LJhkJ8UB7WEGuduB",
    ],
    [
        "fffcf9f6f3f0edeae7e4e1dedbd8d5d2cfccc9c6c3c0bdbab7b4b1aeaba8a5a29f9c999693908d8a\
         8784817e7b7875726f6c696663605d5a5754514e4b484542",
        "m/0",
        "xprv9vHkqa6EV4sPZHYqZznhT2NPtPCjKuDKGY38FBWLvgaDx45zo9WQRUT3dKYnjwih2yJD9mkrocEZ\
         Xo1ex8G81dwSM1fwqWpWkeS3v86pgKt",
        "xpub69H7F5d8KSRgmmdJg2KhpAK8SR3DjMwAdkxj3ZuxV27CprR9LgpeyGmXUbC6wb7ERfvrnKZjXoUm\
         mDznezpbZb7ap6r1D3tgFxHmwMkQTPH",
    ],
    [
        "fffcf9f6f3f0edeae7e4e1dedbd8d5d2cfccc9c6c3c0bdbab7b4b1aeaba8a5a29f9c999693908d8a\
         8784817e7b7875726f6c696663605d5a5754514e4b484542",
        "m/0/2147483647'",
        "xprv9wSp6B7kry3Vj9m1zSnLvN3xH8RdsPP1Mh7fAaR7aRLcQMKTR2vidYEeEg2mUCTAwCd6vnxVrcjf\
         y2kRgVsFawNzmjuHc2YmYRmagcEPdU9",
        "xpub6ASAVgeehLbnwdqV6UKMHVzgqAG8Gr6riv3Fxxpj8ksbH9ebxaEyBLZ85ySDhKiLDBrQSARLq1uN\
         Rts8RuJiHjaDMBU4Zn9h8LZNnBC5y4a",
    ],
    [
        "fffcf9f6f3f0edeae7e4e1dedbd8d5d2cfccc9c6c3c0bdbab7b4b1aeaba8a5a29f9c999693908d8a\
         8784817e7b7875726f6c696663605d5a5754514e4b484542",
        "m/0/2147483647'/1",
        "xprv9zFnWC6h2cLgpmSA46vutJzBcfJ8yaJGg8cX1e5StJh45BBciYTRXSd25UEPVuesF9yog62tGAQt\
         HjXajPPdbRCHuWS6T8XA2ECKADdw4Ef",
        "xpub6DF8uhdarytz3FWdA8TvFSvvAh8dP3283MY7p2V4SeE2wyWmG5mg5EwVvmdMVCQcoNJxGoWaU9DC\
         Wh89LojfZ537wTfunKau47EL2dhHKon",
    ],
    [
        "fffcf9f6f3f0edeae7e4e1dedbd8d5d2cfccc9c6c3c0bdbab7b4b1aeaba8a5a29f9c999693908d8a\
         8784817e7b7875726f6c696663605d5a5754514e4b484542",
        "m/0/2147483647'/1/2147483646'",
        "xprvA1RpRA33e1JQ7ifknakTFpgNXPmW2YvmhqLQYMmrj4xJXXWYpDPS3xz7iAxn8L39njGVyuoseXzU\
         6rcxFLJ8HFsTjSyQbLYnMpCqE2VbFWc",
        "xpub6ERApfZwUNrhLCkDtcHTcxd75RbzS1ed54G1LkBUHQVHQKqhMkhgbmJbZRkrgZw4koxb5JaHWkY4\
         ALHY2grBGRjaDMzQLcgJvLJuZZvRcEL",
    ],
    [
        "fffcf9f6f3f0edeae7e4e1dedbd8d5d2cfccc9c6c3c0bdbab7b4b1aeaba8a5a29f9c999693908d8a\
         8784817e7b7875726f6c696663605d5a5754514e4b484542",
        "m/0/2147483647'/1/2147483646'/2",
        "xprvA2nrNbFZABcdryreWet9Ea4LvTJcGsqrMzxHx98MMrotbir7yrKCEXw7nadnHM8Dq38EGfSh6dqA\
         9QWTyefMLEcBYJUuekgW4BYPJcr9E7j",
        "xpub6FnCn6nSzZAw5Tw7cgR9bi15UV96gLZhjDstkXXxvCLsUXBGXPdSnLFbdpq8p9HmGsApME5hQTZ3\
         emM2rnY5agb9rXpVGyy3bdW6EEgAtqt",
    ],
    [
        "4b381541583be4423346c643850da4b320e46a87ae3d2a4e6da11eba819cd4acba45d239319ac14f\
         863b8d5ab5a0d0c64d2e8a1e7d1457df2e5a3c51c73235be",
        "m",
        "xprv9s21ZrQH143K25QhxbucbDDuQ4naNntJRi4KUfWT7xo4EKsHt2QJDu7KXp1A3u7Bi1j8ph3EGsZ9\
         Xvz9dGuVrtHHs7pXeTzjuxBrCmmhgC6",
        "xpub661MyMwAqRbcEZVB4dScxMAdx6d4nFc9nvyvH3v4gJL378CSRZiYmhRoP7mBy6gSPSCYk6SzXPTf\
         3ND1cZAceL7SfJ1Z3GC8vBgp2epUt13",
    ],
    [
        "4b381541583be4423346c643850da4b320e46a87ae3d2a4e6da11eba819cd4acba45d239319ac14f\
         863b8d5ab5a0d0c64d2e8a1e7d1457df2e5a3c51c73235be",
        "m/0'",
        "xprv9uPDJpEQgRQfDcW7BkF7eTya6RPxXeJCqCJGHuCJ4GiRVLzkTXBAJMu2qaMWPrS7AANYqdq6vcBc\
         BUdJCVVFceUvJFjaPdGZ2y9WACViL4L",
        "xpub68NZiKmJWnxxS6aaHmn81bvJeTESw724CRDs6HbuccFQN9Ku14VQrADWgqbhhTHBaohPX4CjNLf9\
         fq9MYo6oDaPPLPxSb7gwQN3ih19Zm4Y",
    ],
    [
        "79c02978f587fffab8c05a875b29439aba0a54c76df69a83dead1912da99c584",
        "m/44'/60'/0'/0/0",
        "xprvA2zz8yaedswvkyC3j5Rdi18tCNfhBFXmESxdCBiXbZixEfhhdTcEYMUBKek9ewpR3XJJRHiBuuPw\
         cMA5fnNZCAQEzECiio1NP64GwRLp6Ng",
        "xpub6FzLYV7YUFWDyTGWq6xe595ckQWBaiFcbftDza899uFw7U2rAzvV69nfAwTv7G9EZnqmefmS1HHD\
         s92cEc89yYttA4e1qJHMG8BN3RbCxEU",
    ],
    [
        "79c02978f587fffab8c05a875b29439aba0a54c76df69a83dead1912da99c584",
        "m/43'/60'/1581'/0'/0",
        "xprvA2nYeZ2C1Uf2fL568wb57cJ4ifF6kZP2rh7u7CYuT1yHEn3x9HsgTMdjonJgWLEPZ93BQN3yy3eT\
         qpGYtuDpyXV1WMa8h3Doj2pLgqXWxhB",
        "xpub6Fmu44Z5qrDKsp9ZEy85UkEoGh5bA26tDv3VuaxX1MWG7aP6gqBw19xDf5PJDWGUJjkXzRsFydqL\
         F6qKkM2juYbbrSkrjJF7xeJ7Q5oVf8v",
    ],
];

/// Entropy, phrase, seed, master xprv; the passphrase is TREZOR.
const PHRASES: [[&str; 4]; 6] = [
    [
        "00000000000000000000000000000000",
        "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
         abandon about",
        "c55257c360c07c72029aebc1b53c05ed0362ada38ead3e3e9efa3708e53495531f09a6987599d182\
         64c1e1c92f2cf141630c7a3c4ab7c81b2f001698e7463b04",
        "xprv9s21ZrQH143K3h3fDYiay8mocZ3afhfULfb5GX8kCBdno77K4HiA15Tg23wpbeF1pLfs1c5SPmYH\
         rEpTuuRhxMwvKDwqdKiGJS9XFKzUsAF",
    ],
    [
        "7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f",
        "legal winner thank year wave sausage worth useful legal winner thank yellow",
        "2e8905819b8723fe2c1d161860e5ee1830318dbf49a83bd451cfb8440c28bd6fa457fe1296106559\
         a3c80937a1c1069be3a3a5bd381ee6260e8d9739fce1f607",
        "xprv9s21ZrQH143K2gA81bYFHqU68xz1cX2APaSq5tt6MFSLeXnCKV1RVUJt9FWNTbrrryem4ZckN8k4\
         Ls1H6nwdvDTvnV7zEXs2HgPezuVccsq",
    ],
    [
        "80808080808080808080808080808080",
        "letter advice cage absurd amount doctor acoustic avoid letter advice cage above",
        "d71de856f81a8acc65e6fc851a38d4d7ec216fd0796d0a6827a3ad6ed5511a30fa280f12eb2e47ed\
         2ac03b5c462a0358d18d69fe4f985ec81778c1b370b652a8",
        "xprv9s21ZrQH143K2shfP28KM3nr5Ap1SXjz8gc2rAqqMEynmjt6o1qboCDpxckqXavCwdnYds6yBHZG\
         KHv7ef2eTXy461PXUjBFQg6PrwY4Gzq",
    ],
    [
        "ffffffffffffffffffffffffffffffff",
        "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo wrong",
        "ac27495480225222079d7be181583751e86f571027b0497b5b5d11218e0a8a13332572917f0f8e5a\
         589620c6f15b11c61dee327651a14c34e18231052e48c069",
        "xprv9s21ZrQH143K2V4oox4M8Zmhi2Fjx5XK4Lf7GKRvPSgydU3mjZuKGCTg7UPiBUD7ydVPvSLtg9hj\
         p7MQTYsW67rZHAXeccqYqrsx8LcXnyd",
    ],
    [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
         abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
         abandon abandon abandon art",
        "bda85446c68413707090a52022edd26a1c9462295029f2e60cd7c4f2bbd3097170af7a4d73245caf\
         a9c3cca8d561a7c3de6f5d4a10be8ed2a5e608d68f92fcc8",
        "xprv9s21ZrQH143K32qBagUJAMU2LsHg3ka7jqMcV98Y7gVeVyNStwYS3U7yVVoDZ4btbRNf4h6ibWpY\
         22iRmXq35qgLs79f312g2kj5539ebPM",
    ],
    [
        "f585c11aec520db57dd353c69554b21a89b20fb0650966fa0a9d6f74fd989d8f",
        "void come effort suffer camp survey warrior heavy shoot primary clutch crush \
         open amazing screen patrol group space point ten exist slush involve unfold",
        "01f5bced59dec48e362f2c45b5de68b9fd6c92c6634f44d6d40aab69056506f0e35524a518034ddc\
         1192e1dacd32c1ed3eaa3c3b131c88ed8e7e54c49a5d0998",
        "xprv9s21ZrQH143K39rnQJknpH1WEPFJrzmAqqasiDcVrNuk926oizzJDDQkdiTvNPr2FYDYzWgiMiC6\
         3YmfPAa2oPyNB23r2g7d1yiK6WpqaQS",
    ],
];

/// BIP32's vector 5: texts that must be rejected, with the reason.
const INVALID: [(&str, &str); 16] = [
    (
        "xpub661MyMwAqRbcEYS8w7XLSVeEsBXy79zSzH1J8vCdxAZningWLdN3zgtU6LBpB85b3D2yc8sfvZU521AAwdZafEz7mnzBBsz4wKY5fTtTQBm",
        "hd.key",
    ),
    (
        "xprv9s21ZrQH143K24Mfq5zL5MhWK9hUhhGbd45hLXo2Pq2oqzMMo63oStZzFGTQQD3dC4H2D5GBj7vWvSQaaBv5cxi9gafk7NF3pnBju6dwKvH",
        "hd.text",
    ),
    (
        "xpub661MyMwAqRbcEYS8w7XLSVeEsBXy79zSzH1J8vCdxAZningWLdN3zgtU6Txnt3siSujt9RCVYsx4qHZGc62TG4McvMGcAUjeuwZdduYEvFn",
        "hd.key",
    ),
    (
        "xprv9s21ZrQH143K24Mfq5zL5MhWK9hUhhGbd45hLXo2Pq2oqzMMo63oStZzFGpWnsj83BHtEy5Zt8CcDr1UiRXuWCmTQLxEK9vbz5gPstX92JQ",
        "hd.text",
    ),
    (
        "xpub661MyMwAqRbcEYS8w7XLSVeEsBXy79zSzH1J8vCdxAZningWLdN3zgtU6N8ZMMXctdiCjxTNq964yKkwrkBJJwpzZS4HS2fxvyYUA4q2Xe4",
        "hd.key",
    ),
    (
        "xprv9s21ZrQH143K24Mfq5zL5MhWK9hUhhGbd45hLXo2Pq2oqzMMo63oStZzFAzHGBP2UuGCqWLTAPLcMtD9y5gkZ6Eq3Rjuahrv17fEQ3Qen6J",
        "hd.text",
    ),
    (
        "xprv9s2SPatNQ9Vc6GTbVMFPFo7jsaZySyzk7L8n2uqKXJen3KUmvQNTuLh3fhZMBoG3G4ZW1N2kZuHEPY53qmbZzCHshoQnNf4GvELZfqTUrcv",
        "hd.master",
    ),
    (
        "xpub661no6RGEX3uJkY4bNnPcw4URcQTrSibUZ4NqJEw5eBkv7ovTwgiT91XX27VbEXGENhYRCf7hyEbWrR3FewATdCEebj6znwMfQkhRYHRLpJ",
        "hd.master",
    ),
    (
        "xprv9s21ZrQH4r4TsiLvyLXqM9P7k1K3EYhA1kkD6xuquB5i39AU8KF42acDyL3qsDbU9NmZn6MsGSUYZEsuoePmjzsB3eFKSUEh3Gu1N3cqVUN",
        "hd.master",
    ),
    (
        "xpub661MyMwAuDcm6CRQ5N4qiHKrJ39Xe1R1NyfouMKTTWcguwVcfrZJaNvhpebzGerh7gucBvzEQWRugZDuDXjNDRmXzSZe4c7mnTK97pTvGS8",
        "hd.master",
    ),
    (
        "DMwo58pR1QLEFihHiXPVykYB6fJmsTeHvyTp7hRThAtCX8CvYzgPcn8XnmdfHGMQzT7ayAmfo4z3gY5KfbrZWZ6St24UVf2Qgo6oujFktLHdHY4",
        "hd.version",
    ),
    (
        "DMwo58pR1QLEFihHiXPVykYB6fJmsTeHvyTp7hRThAtCX8CvYzgPcn8XnmdfHPmHJiEDXkTiJTVV9rHEBUem2mwVbbNfvT2MTcAqj3nesx8uBf9",
        "hd.version",
    ),
    (
        "xprv9s21ZrQH143K24Mfq5zL5MhWK9hUhhGbd45hLXo2Pq2oqzMMo63oStZzF93Y5wvzdUayhgkkFoicQZcP3y52uPPxFnfoLZB21Teqt1VvEHx",
        "hd.key",
    ),
    (
        "xprv9s21ZrQH143K24Mfq5zL5MhWK9hUhhGbd45hLXo2Pq2oqzMMo63oStZzFAzHGBP2UuGCqWLTAPLcMtD5SDKr24z3aiUvKr9bJpdrcLg1y3G",
        "hd.key",
    ),
    (
        "xpub661MyMwAqRbcEYS8w7XLSVeEsBXy79zSzH1J8vCdxAZningWLdN3zgtU6Q5JXayek4PRsn35jii4veMimro1xefsM58PgBMrvdYre8QyULY",
        "hd.key",
    ),
    (
        "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHL",
        "hd.checksum",
    ),
];

fn seed(hex: &str) -> Seed {
    Seed::from_bytes(&hex::decode(hex).unwrap()).unwrap()
}

fn child(key: &ExtendedPrivateKey, index: ChildIndex) -> Result<ExtendedPrivateKey, HdError> {
    key.derive(&DerivationPath::from_steps(vec![index]).unwrap())
}

#[test]
fn published_trees() {
    for [bytes, path, xprv, xpub] in PUBLISHED {
        let master = ExtendedPrivateKey::from_seed(&seed(bytes)).unwrap();
        let path: DerivationPath = path.parse().unwrap();
        let key = master.derive(&path).unwrap();
        assert_eq!(*key.to_xprv(), xprv);
        assert_eq!(key.to_public().to_string(), xpub);
        assert_eq!(xprv.parse(), Ok(key.clone()));
        assert_eq!(xpub.parse(), Ok(key.to_public()));
        let step_by_step = path.steps().iter().try_fold(master, |key, step| child(&key, *step));
        assert_eq!(step_by_step, Ok(key));
    }
}

#[test]
fn published_phrases() {
    for [entropy, words, seed, xprv] in PHRASES {
        let phrase = Mnemonic::parse(words).unwrap();
        assert_eq!(hex::encode(&*phrase.entropy()), entropy);
        let bytes = hex::decode(entropy).unwrap();
        assert_eq!(Mnemonic::from_entropy(&bytes, Language::ENGLISH).as_ref(), Ok(&phrase));
        let made = phrase.to_seed("TREZOR");
        assert_eq!(hex::encode(made.as_bytes()), seed);
        assert_eq!(*ExtendedPrivateKey::from_seed(&made).unwrap().to_xprv(), xprv);
    }
}

#[test]
fn invalid_texts() {
    for (text, code) in INVALID {
        let error = if text.starts_with("xpub") {
            text.parse::<ExtendedPublicKey>().unwrap_err()
        } else {
            text.parse::<ExtendedPrivateKey>().unwrap_err()
        };
        assert_eq!(error.code(), code, "{text}: {error}");
    }
    let private = |text: &str| text.parse::<ExtendedPrivateKey>().unwrap_err();
    let xpub = PUBLISHED[0][3];
    assert_eq!(private(xpub), HdError::Kind { expected: "private", got: "public" });
    assert_eq!(private("xprv0"), HdError::Base58 { at: 5 });
    assert_eq!(private(""), HdError::Text("it is too short"));
    assert_eq!(private("xprv").code(), "hd.text");
    assert_eq!(private("é").code(), "hd.base58");
    assert_eq!(private(&"x".repeat(100_000_000)).code(), "hd.text");
    assert_eq!(
        PUBLISHED[0][2].parse::<ExtendedPublicKey>(),
        Err(HdError::Kind { expected: "public", got: "private" })
    );
}

#[test]
fn public_keys_stop_at_hardened_steps_and_depth() {
    let key: ExtendedPublicKey = PUBLISHED[0][3].parse().unwrap();
    let index = ChildIndex::hardened(1).unwrap();
    assert_eq!(key.child(index), Err(HdError::HardenedFromPublic { index }));
    let private: ExtendedPrivateKey = PUBLISHED[0][2].parse().unwrap();
    let deep: DerivationPath = format!("m{}", "/0".repeat(255)).parse().unwrap();
    let deepest = private.derive(&deep).unwrap();
    assert_eq!(deepest.depth(), 255);
    let index = ChildIndex::normal(0).unwrap();
    assert_eq!(child(&deepest, index), Err(HdError::TooDeep));
    assert_eq!(deepest.to_public().child(index), Err(HdError::TooDeep));
    assert_eq!(Deriver::new(deepest).derive(&"m/0".parse().unwrap()), Err(HdError::TooDeep));
}

#[test]
fn debug_hides_secrets() {
    let key: ExtendedPrivateKey = PUBLISHED[1][2].parse().unwrap();
    assert_eq!(format!("{key:?}"), "ExtendedPrivateKey(depth 1, …)");
    assert_eq!(format!("{:?}", Deriver::new(key)), "Deriver(0 nodes, …)");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn private_and_public_derivation_agree(
        bytes in proptest::collection::vec(any::<u8>(), 16..=64),
        hard in proptest::collection::vec(0_u32..1 << 31, 0..4),
        plain in proptest::collection::vec(0_u32..1 << 31, 0..4),
    ) {
        let master = ExtendedPrivateKey::from_seed(&Seed::from_bytes(&bytes).unwrap()).unwrap();
        let hard = hard.into_iter().filter_map(ChildIndex::hardened).collect();
        let plain: Vec<_> = plain.into_iter().filter_map(ChildIndex::normal).collect();
        let node = master.derive(&DerivationPath::from_steps(hard).unwrap()).unwrap();
        let path = DerivationPath::from_steps(plain).unwrap();
        let private = node.derive(&path).unwrap();
        // The shortcut over the parent gives the same key.
        prop_assert_eq!(private.public_key(), private.secret_key().public_key());
        prop_assert_eq!(node.public_key(), node.secret_key().public_key());
        prop_assert_eq!(node.to_public().derive(&path).unwrap(), private.to_public());
        prop_assert_eq!(private.to_xprv().parse::<ExtendedPrivateKey>().unwrap(), private.clone());
        let public = private.to_public();
        prop_assert_eq!(public.to_string().parse::<ExtendedPublicKey>().unwrap(), public);
    }

    #[test]
    fn derivers_agree_with_derivation(
        paths in proptest::collection::vec(proptest::collection::vec(0_u32..3, 0..5), 1..12),
        hardened in any::<u8>(),
    ) {
        let root = ExtendedPrivateKey::from_seed(&Seed::from_bytes(&[hardened; 32]).unwrap()).unwrap();
        let mut deriver = Deriver::new(root.clone());
        for path in paths {
            let step = |(at, number): (usize, u32)| {
                let bit = u32::from(hardened >> at & 1) << 31;
                ChildIndex::from_bits(number | bit)
            };
            let steps = path.into_iter().enumerate().map(step).collect();
            let path = DerivationPath::from_steps(steps).unwrap();
            prop_assert_eq!(deriver.derive(&path).unwrap(), root.derive(&path).unwrap());
        }
    }

    #[test]
    fn arbitrary_texts_do_not_panic(text in ".{0,130}") {
        let _ = text.parse::<ExtendedPrivateKey>();
        let _ = text.parse::<ExtendedPublicKey>();
        let _ = text.parse::<DerivationPath>();
        let _ = DerivationPath::parse_like_reference(&text);
        let _ = Mnemonic::parse(&text);
        let _ = crate::account::parse_chat_key(&text);
        let _ = text.parse::<crate::account::vanity::Pattern>();
        let _ = crate::account::Imported::parse(text.as_bytes());
    }

    #[test]
    fn damaged_keys_are_rejected(at in 0_usize..111, with in "[1-9A-HJ-NP-Za-km-z]") {
        let mut text = PUBLISHED[3][2].to_owned();
        text.replace_range(at..=at, &with);
        let same = text == PUBLISHED[3][2];
        prop_assert_eq!(text.parse::<ExtendedPrivateKey>().is_ok(), same);
    }
}
