// What the tests call: globalThis.interop, in Node and in a page.
import {Kit} from "./kit.mjs"
import {scenarios} from "./scenarios.mjs"

export const host = env => ({
  list: () => scenarios.map(({name, transports}) => ({name, transports})),

  async run(name, config){
    const kit = new Kit({...env, config})
    const result = {}
    try {
      await scenarios.find(scenario => scenario.name === name).run(kit)
    } catch (err){
      result.error = String(err?.stack ?? err)
    }
    await kit.close()
    return {...result, log: kit.log}
  },
})
