//! Contract calls, transactions, typed data.
//!
//! `cargo bench --bench eip`. All on one core. The ratios that count are measured in one run with
//! what must be done anyway: `abi/*` beside a copy of the data, `typed_data/hash` beside its bare
//! hashes, `transaction/*` beside the bare signature and recovery.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::{Value as Json, json};
use statuskit_core::crypto::{SecretKey, keccak256};
use statuskit_eip::{
    Address, U256,
    abi::{Function, Strictness, Value, decode, encode},
    eip155::{SignedTransaction, Transaction},
    eip712::{Rules, TypedData},
};

fn abi(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("abi");
    let transfer: Function = "transfer(address,uint256)".parse().expect("a signature");
    let values = [Value::Address(Address([7; 20])), Value::Uint(U256::MAX)];
    let data = transfer.encode_call(&values).expect("of its types");
    group.bench_function("encode_transfer", |bencher| {
        bencher.iter(|| encode(&transfer.inputs, black_box(&values)));
    });
    group.bench_function("decode_transfer", |bencher| {
        bencher.iter(|| decode(&transfer.inputs, black_box(&data[4..]), Strictness::Strict));
    });
    group.bench_function("selector", |bencher| bencher.iter(|| black_box(&transfer).selector()));

    let nested: Function =
        "f((uint256,(address,bytes,string[])[])[],int64[4],bytes32)".parse().expect("a signature");
    let item = Value::Tuple(vec![
        Value::Address(Address([1; 20])),
        Value::Bytes(vec![2; 100]),
        Value::Array(vec![Value::String("a text of a contract".to_owned()); 4]),
    ]);
    let outer = Value::Tuple(vec![Value::Uint(U256::MAX), Value::Array(vec![item; 8])]);
    let values = [
        Value::Array(vec![outer; 8]),
        Value::Array(vec![Value::Int(U256::MAX); 4]),
        Value::FixedBytes(vec![9; 32]),
    ];
    let data = encode(&nested.inputs, &values).expect("of their types");
    group.throughput(Throughput::Bytes(data.len() as u64));
    group.bench_function("encode_nested", |bencher| {
        bencher.iter(|| encode(&nested.inputs, black_box(&values)));
    });
    group.bench_function("decode_nested", |bencher| {
        bencher.iter(|| decode(&nested.inputs, black_box(&data), Strictness::Strict));
    });
    group.finish();
}

fn mail() -> Json {
    let person = json!([
        { "name": "name", "type": "string" }, { "name": "wallet", "type": "address" },
    ]);
    json!({
        "types": {
            "EIP712Domain": [
                { "name": "name", "type": "string" }, { "name": "version", "type": "string" },
                { "name": "chainId", "type": "uint256" },
                { "name": "verifyingContract", "type": "address" },
            ],
            "Person": person,
            "Mail": [
                { "name": "from", "type": "Person" }, { "name": "to", "type": "Person" },
                { "name": "contents", "type": "string" },
            ],
        },
        "primaryType": "Mail",
        "domain": {
            "name": "Ether Mail", "version": "1", "chainId": 1,
            "verifyingContract": "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC",
        },
        "message": {
            "from": { "name": "Cow", "wallet": "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826" },
            "to": { "name": "Bob", "wallet": "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB" },
            "contents": "Hello, Bob!",
        },
    })
}

fn typed_data(criterion: &mut Criterion) {
    let json = mail();
    let data = TypedData::from_json(&json).expect("typed data");
    let mut group = criterion.benchmark_group("typed_data");
    group.bench_function("read_and_hash", |bencher| {
        bencher.iter(|| TypedData::from_json(black_box(&json))?.hash(Rules::Exact));
    });
    group.bench_function("hash", |bencher| {
        bencher.iter(|| black_box(&data).hash(Rules::Exact));
    });
    // Three types, four structs, five texts, the digest.
    group.bench_function("bare_hashes", |bencher| {
        let lengths = [82, 77, 36, 160, 128, 96, 96, 10, 1, 3, 3, 11, 66];
        let input = [7; 160];
        bencher.iter(|| {
            lengths.iter().map(|length| keccak256(&black_box(&input)[..*length])[0]).max()
        });
    });
    group.finish();
}

fn transaction(criterion: &mut Criterion) {
    let key = SecretKey::from_bytes(&[0x46; 32]).expect("in range");
    let transaction = Transaction {
        nonce: 9,
        gas_price: U256::from(20_000_000_000_u64),
        gas: 21_000,
        to: Some(Address([0x35; 20])),
        value: U256::from(1_000_000_000_000_000_000_u64),
        data: Vec::new(),
        chain_id: Some(1),
    };
    let raw = transaction.clone().sign(&key).expect("a chain id").encode();
    let mut group = criterion.benchmark_group("transaction");
    group.bench_function("sign", |bencher| {
        bencher.iter(|| black_box(&transaction).clone().sign(&key).map(|signed| signed.encode()));
    });
    let digest = transaction.signing_hash();
    group.bench_function("bare_signature", |bencher| {
        bencher.iter(|| key.sign_digest(black_box(&digest)));
    });
    group.bench_function("decode", |bencher| {
        bencher.iter(|| SignedTransaction::decode(black_box(&raw)));
    });
    group.bench_function("decode_and_recover", |bencher| {
        bencher.iter(|| SignedTransaction::decode(black_box(&raw))?.recover());
    });
    let signature = key.sign_digest(&digest);
    group.bench_function("bare_recovery", |bencher| {
        bencher.iter(|| black_box(&signature).recover(&digest));
    });
    group.finish();
}

criterion_group!(benches, abi, typed_data, transaction);
criterion_main!(benches);
