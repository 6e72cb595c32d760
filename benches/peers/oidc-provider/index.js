// oidc-provider with its own sign-in pages, ES256, and everything in memory: its fastest, and nothing outlives a restart.
import { generateKeyPairSync } from 'node:crypto';
import { Provider } from 'oidc-provider';

const port = Number(process.argv[2]);
const issuer = `http://localhost:${port}`;
const resource = 'urn:bench:api';

// The one that comes along keeps a thousand entries and forgets the rest.
const store = new Map();
const grants = new Map();
class Memory {
  constructor(model) { this.model = model; }
  key(id) { return `${this.model}:${id}`; }
  async find(id) { return store.get(this.key(id)); }
  async findByUid(uid) { return store.get(store.get(`uid:${uid}`)); }
  async findByUserCode() { return undefined; }
  async destroy(id) { store.delete(this.key(id)); }
  async consume(id) { store.get(this.key(id)).consumed = Math.floor(Date.now() / 1000); }
  async upsert(id, payload) {
    store.set(this.key(id), payload);
    if (payload.uid && this.model === 'Session') store.set(`uid:${payload.uid}`, this.key(id));
    if (payload.grantId) {
      if (!grants.has(payload.grantId)) grants.set(payload.grantId, []);
      grants.get(payload.grantId).push(this.key(id));
    }
  }
  async revokeByGrantId(grantId) {
    for (const key of grants.get(grantId) ?? []) store.delete(key);
    grants.delete(grantId);
  }
}

const key = (type, options, alg) => {
  const jwk = generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' });
  return { ...jwk, alg, use: 'sig' };
};

const provider = new Provider(issuer, {
  adapter: Memory,
  jwks: { keys: [key('ec', { namedCurve: 'P-256' }, 'ES256'), key('rsa', { modulusLength: 2048 }, 'RS256')] },
  cookies: { keys: ['a key of this benchmark alone'] },
  clients: [
    {
      client_id: 'bench-job', client_secret: 'bench-job-secret-0123456789-abcdef', scope: 'notes:read',
      grant_types: ['client_credentials'], response_types: [], redirect_uris: [],
    },
    {
      client_id: 'bench-api', client_secret: 'bench-api-secret-0123456789-abcdef',
      grant_types: [], response_types: [], redirect_uris: [],
    },
    {
      client_id: 'bench-web', client_secret: 'bench-web-secret-0123456789-abcdef',
      grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'],
      redirect_uris: ['https://app.example.com/callback'], id_token_signed_response_alg: 'ES256',
    },
  ],
  scopes: ['openid', 'offline_access', 'notes:read'],
  findAccount: async (_, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
  // It drops offline_access unless the person is asked each time, and a remembered consent is what is measured.
  issueRefreshToken: async () => true,
  rotateRefreshToken: () => true,
  features: {
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: async () => true },
    // A token for a resource is a JWT; one without is opaque, and only such can be introspected.
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: async () => ({
        scope: 'notes:read', audience: resource, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
});

provider.listen(port, '127.0.0.1', () => console.log(`ready ${issuer} ${process.pid}`));
