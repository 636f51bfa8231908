//! Spellings for which there is no grammar: what is whole is found in them.

use super::spellings::{dump, hex, join, shown, spellings};

/// A value as programs, people and chats leave it.
pub(super) fn oddities(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    use data_encoding::{BASE32, BASE64, BASE64URL_NOPAD};
    let plain = hex(bytes);
    let base64 = BASE64.encode(bytes);
    let pair = |byte: u8| format!("{byte:02x}");
    let lines = |text: &str, width: usize, between: &str| -> String {
        let lines = text.as_bytes().chunks(width).map(String::from_utf8_lossy);
        lines.collect::<Vec<_>>().join(between)
    };
    let decimal = join(bytes, ", ", |byte| byte.to_string());
    let percent = join(bytes, "", |byte| format!("%{byte:02X}"));
    let quoted_printable = {
        let body = join(bytes, "", |byte| format!("={byte:02X}"));
        lines(&body, 72, "=\n")
    };
    let octal = join(bytes, "", |byte| format!("\\{byte:03o}"));
    let cell = |byte: &u8| match byte {
        0 => "  \\0".to_owned(),
        b'\n' => "  \\n".to_owned(),
        b'\\' => "  \\\\".to_owned(),
        0x20..=0x7e => format!("{:>4}", char::from(*byte)),
        7..=13 => format!("  \\{}", ["a", "b", "t", "n", "v", "f", "r"][*byte as usize - 7]),
        _ => format!(" {byte:03o}"),
    };
    let od = |width: usize, row: &dyn Fn(&[u8]) -> String| -> String {
        let rows = bytes.chunks(width).enumerate();
        let body: String =
            rows.map(|(at, line)| format!("{:07o}{}\n", at * width, row(line))).collect();
        format!("{body}{:07o}\n", bytes.len())
    };
    let words = |line: &[u8], show: &dyn Fn(u16) -> String| -> String {
        let words = line.chunks(2).map(|it| [it[0], it.get(1).copied().unwrap_or(0)]);
        words.map(|it| show(u16::from_le_bytes(it))).collect()
    };
    let xxd = dump(
        bytes,
        16,
        |at| format!("{at:08x}: "),
        |line| format!("{:<40}", line.chunks(2).map(hex).collect::<Vec<_>>().join(" ")),
        |it| format!(" {it}"),
    );
    let numbered: String =
        xxd.lines().zip(1..).map(|(line, at)| format!("{at:>6}\t{line}\n")).collect();
    let indexed = |between: &str, each: &dyn Fn(usize, u8) -> String| -> String {
        let all = bytes.iter().enumerate().map(|(at, byte)| each(at, *byte));
        all.collect::<Vec<_>>().join(between)
    };
    let windbg: String = bytes
        .chunks(16)
        .enumerate()
        .map(|(at, line)| {
            let (a, b) = line.split_at(line.len().min(8));
            let hyphen = if b.is_empty() { "" } else { "-" };
            let row = format!("{}{hyphen}{}", join(a, " ", pair), join(b, " ", pair));
            let text: String = line.iter().map(|byte| shown(*byte)).collect();
            format!("00000000`0012f{:03x}  {row:<48} {text}\n", at * 16)
        })
        .collect();
    let gdb: String = bytes
        .chunks(8)
        .enumerate()
        .map(|(at, line)| {
            let row = join(line, "\t", |byte| format!("0x{byte:02x}"));
            format!("0x5555555580{:02x} <raw+{}>:\t{row}\n", 64 + at * 8 % 128, at * 8)
        })
        .collect();
    let utf16: Vec<u8> = plain.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut all: Vec<(String, Vec<u8>)> = [
        ("colours", format!("\u{1b}[32m0x{plain}\u{1b}[0m\n")),
        ("grep", format!("data=\u{1b}[01;31m\u{1b}[K0x{plain}\u{1b}[m\u{1b}[K")),
        (
            "jq -C",
            format!("\u{1b}[1;39m{{\n\u{1b}[34;1m\"raw\"\u{1b}[0m: \"0x{plain}\"\n}}\u{1b}[0m"),
        ),
        ("cat -v", format!("^[[32m0x{plain}^[[0m")),
        ("typographic quotes", format!("“0x{plain}”")),
        ("low quotes", format!("„0x{plain}“")),
        ("invisible inside", format!("0x{}\u{200b}{}", &plain[..64], &plain[64..])),
        ("soft hyphens", lines(&plain, 64, "\u{ad}")),
        ("blanks of a web page", lines(&plain, 2, "\u{a0}")),
        ("a direction", format!("\u{202a}0x{plain}\u{202c}")),
        ("a full stop", format!("The data is 0x{plain}.")),
        ("a fence", format!("Here it is:\n\n```\n0x{plain}\n```\n\nThanks!")),
        ("a fenced dump", format!("```text\n{xxd}```\n")),
        ("a mail", lines(&format!("0x{plain}"), 70, "\n> ")),
        ("a mail with a dump", xxd.lines().map(|line| format!("> {line}\n")).collect()),
        ("cat -n", numbered),
        ("a list", format!("- `0x{plain}`")),
        ("a prompt", format!("$ echo 0x{plain}")),
        ("a session", format!("me@host:~$ xxd e.bin\n{xxd}me@host:~$ ")),
        (
            "PEM",
            format!("-----BEGIN DATA-----\n{}\n-----END DATA-----\n", lines(&base64, 64, "\n")),
        ),
        ("certutil", format!("{xxd}CertUtil: -dump command completed successfully.\n")),
        ("a heading", format!("Frame ({} bytes):\n{xxd}", bytes.len())),
        ("YAML", format!("data: |\n  {}\n", lines(&base64, 64, "\n  "))),
        ("XML", format!("<data>0x{plain}</data>")),
        ("HTML", format!("<p><code>{plain}</code></p>")),
        ("SQL", format!("INSERT INTO t (b) VALUES (0x{plain});")),
        ("a call", format!("Buffer.from('{plain}', 'hex')")),
        ("a call with base64", format!("base64.b64decode(\"{base64}\")")),
        ("a table", format!("+------+\n| data |\n+------+\n| 0x{plain} |\n+------+\n")),
        ("okio", format!("[size={} hex={plain}]", bytes.len())),
        ("Bytes", format!("Bytes(0x{plain})")),
        ("NSData", format!("<{}>", lines(&plain, 8, " "))),
        ("dots", lines(&plain, 2, ".")),
        ("bars", lines(&plain, 2, "|")),
        ("an assembler", join(bytes, " ", |byte| format!("{byte:02X}h"))),
        ("bits", join(bytes, "", |byte| format!("{byte:08b}"))),
        ("groups of bits", join(bytes, " ", |byte| format!("{byte:08b}"))),
        ("a byte in each line", join(bytes, "\n", pair)),
        ("a number in each line", join(bytes, "\n", |byte| byte.to_string())),
        ("semicolons", join(bytes, ";", |byte| byte.to_string())),
        ("0o", join(bytes, ", ", |byte| format!("0o{byte:o}"))),
        ("Java", {
            let cast = |byte: u8| format!("(byte) 0x{byte:02x}");
            format!("new byte[]{{{}}}", join(bytes, ", ", cast))
        }),
        ("Kotlin", {
            let cast = |byte: u8| format!("0x{byte:02x}.toByte()");
            format!("byteArrayOf({})", join(bytes, ", ", cast))
        }),
        ("Kotlin, unsigned", format!("ubyteArrayOf({})", join(bytes, ", ", |it| format!("{it}u")))),
        ("C with suffixes", format!("{{{}}}", join(bytes, ", ", |it| format!("0x{it:02x}U")))),
        ("C with comments", {
            let lines = bytes.chunks(8).map(|line| {
                format!("{}, /* {} */\n", join(line, ", ", |it| format!("0x{it:02x}")), line.len())
            });
            format!(
                "static const unsigned char pkt1[{}] = {{\n{}}};",
                bytes.len(),
                lines.collect::<String>()
            )
        }),
        ("Nim", format!("@[byte {}]", join(bytes, ", ", |it| format!("0x{it:02x}")))),
        ("Erlang", format!("<<{decimal}>>")),
        ("Haskell", format!("\"{}\"", join(bytes, "", |it| format!("\\{it}")))),
        ("Perl", format!("\"{}\"", join(bytes, "", |it| format!("\\x{{{it:02x}}}")))),
        ("Rust {:x?}", format!("[{}]", join(bytes, ", ", |it| format!("{it:x}")))),
        ("Python hex()", format!("[{}]", join(bytes, ", ", |it| format!("'0x{it:x}'")))),
        ("strings", format!("\"{}\"", lines(&plain, 64, "\" +\n\""))),
        ("strings in brackets", format!("(\n    '{}'\n)", lines(&plain, 64, "'\n    '"))),
        (
            "PHP",
            format!("Array\n(\n{}\n)", indexed("\n", &|at, byte| format!("    [{at}] => {byte}"))),
        ),
        ("a console", indexed("\n", &|at, byte| format!("{at}: {byte}"))),
        ("an object", format!("{{ {} }}", indexed(", ", &|at, byte| format!("'{at}': {byte}")))),
        ("a URL", format!("https://example.org/?data={percent}&x=1")),
        ("percent", percent.clone()),
        ("quoted printable", quoted_printable),
        ("quoted printable base64", lines(&base64, 72, "=\n")),
        ("a shell's lines", lines(&plain, 72, "\\\n")),
        ("base32", BASE32.encode(bytes)),
        ("base32 over lines", lines(&BASE32.encode(bytes), 76, "\n")),
        ("base64url over lines", lines(&BASE64URL_NOPAD.encode(bytes), 76, "\n")),
        ("base64 of hex", BASE64.encode(format!("0x{plain}").as_bytes())),
        ("hex of hex", hex(plain.as_bytes())),
        ("protobuf text", format!("message {{\n  payload: \"{octal}\"\n}}")),
        ("od -c", od(16, &|line| line.iter().map(cell).collect())),
        ("od -d", od(16, &|line| words(line, &|word| format!(" {word:5}")))),
        ("od -td1", od(16, &|line| join(line, "", |it| format!(" {:4}", it.cast_signed())))),
        ("hexdump -o", od(16, &|line| words(line, &|word| format!("  {word:06o}")))),
        (
            "od -An -tx2",
            bytes.chunks(16).map(|it| words(it, &|word| format!(" {word:04x}")) + "\n").collect(),
        ),
        (
            "od -An -tu1",
            bytes.chunks(16).map(|it| join(it, "", |it| format!(" {it:3}")) + "\n").collect(),
        ),
        ("WinDbg", windbg),
        ("GDB", gdb),
    ]
    .into_iter()
    .map(|(name, text): (&str, String)| (name.to_owned(), text.into_bytes()))
    .collect();
    all.push(("UTF-16 without a mark".to_owned(), utf16));
    // Every spelling with a number, or a decoration, in front of its lines.
    for (name, text) in spellings(bytes) {
        let quoted: String = text.lines().map(|line| format!("> {line}\n")).collect();
        all.push((format!("{name}, quoted in a mail"), quoted.into_bytes()));
    }
    all
}
