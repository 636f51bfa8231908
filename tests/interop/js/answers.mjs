// Answers the requests of `status-fixtures verify`, a line of JSON each, with a table of operations.
import { createInterface } from 'node:readline'

export async function answer(ops) {
  for await (const line of createInterface({ input: process.stdin })) {
    const { id: number, op, input } = JSON.parse(line)
    const answer = { id: number }
    if (ops[op]) {
      try {
        const result = ops[op](input)
        if (result === undefined) answer.unsupported = true
        else answer.result = result
      } catch (error) {
        answer.error = { class: 'refused', text: String(error.message).slice(0, 200) }
      }
    } else {
      answer.unsupported = true
    }
    process.stdout.write(JSON.stringify(answer) + '\n')
  }
}
