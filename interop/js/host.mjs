// What the tests call: globalThis.interop, in Node and in a page.
import {Kit} from "./kit.mjs"
import {scenarios} from "./scenarios.mjs"

export const host = env => ({
  list: () => scenarios.map(({name, transports}) => ({name, transports})),

  async run(name, config){
    // What the inspector of Node calls is not a turn of the event loop, after which
    // its nextTick functions would be called: without one a connection may not even
    // begin, until something else happens.
    await new Promise(resolve => setTimeout(resolve))
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
