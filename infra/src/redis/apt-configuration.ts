import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Writes a configuration with which apt-get works in a folder of ours, without root: own package lists, own
 * archives, the system's sources, keys and proxy settings. Answers the environment variable that selects it.
 *
 * `ownLists: false` reads the lists that the system has.
 */
export async function writeAptConfiguration(
  workDirectory: string,
  request: { ownLists: boolean; releaseCodename: string },
): Promise<{ APT_CONFIG: string }> {
  const lists = join(workDirectory, 'lists');
  const archives = join(workDirectory, 'archives');
  const parts = join(workDirectory, 'apt.conf.d');
  const sources = join(workDirectory, 'sources.list.d');
  for (const directory of [join(lists, 'partial'), join(archives, 'partial'), parts, sources]) {
    await mkdir(directory, { recursive: true });
  }
  await linkFiles('/etc/apt/apt.conf.d', parts, () => Promise.resolve(true));
  // Read last: the system's hooks after an update or a download are for root (images delete the archives there).
  await writeFile(
    join(parts, 'zzz-millrace'),
    [
      '#clear APT::Update::Pre-Invoke;',
      '#clear APT::Update::Post-Invoke;',
      '#clear APT::Update::Post-Invoke-Success;',
      '#clear DPkg::Pre-Install-Pkgs;',
      '#clear DPkg::Pre-Invoke;',
      '#clear DPkg::Post-Invoke;',
      `Dir::Cache "${workDirectory}/";`,
      `Dir::Cache::archives "${archives}/";`,
      'Dir::Cache::pkgcache "";',
      'Dir::Cache::srcpkgcache "";',
      'Debug::NoLocking "true";',
      // Root would otherwise download as the user _apt, who cannot write here.
      'APT::Sandbox::User "";',
      'Acquire::Languages "none";',
      'Acquire::Retries "2";',
      'Acquire::http::Timeout "20";',
      'Acquire::https::Timeout "20";',
      ...(request.ownLists
        ? [`Dir::State::lists "${lists}/";`, ...(await ownSources(sources, request.releaseCodename))]
        : []),
      '',
    ].join('\n'),
  );
  const configuration = join(workDirectory, 'apt.conf');
  await writeFile(configuration, `Dir::Etc::Parts "${parts}/";\n`);
  return { APT_CONFIG: configuration };
}

/** Only the distribution's own sources: a third party's server that does not answer would cost the time-outs. */
async function ownSources(directory: string, releaseCodename: string): Promise<string[]> {
  const namesRelease = new RegExp(`(^|\\s)${releaseCodename}(-\\S+)?(\\s|$)`, 'm');
  const mayUse = async (file: string): Promise<boolean> => namesRelease.test(await readFile(file, 'utf8'));
  const linked = await linkFiles('/etc/apt/sources.list.d', directory, mayUse);
  const mainList = '/etc/apt/sources.list';
  const hasMainList = existsSync(mainList) && (await mayUse(mainList));
  if (linked === 0 && !hasMainList) return [];
  return [
    `Dir::Etc::SourceParts "${directory}/";`,
    ...(hasMainList ? [] : ['Dir::Etc::SourceList "/dev/null";']),
  ];
}

async function linkFiles(
  from: string,
  to: string,
  isWanted: (file: string) => Promise<boolean>,
): Promise<number> {
  if (!existsSync(from)) return 0;
  let linked = 0;
  for (const name of await readdir(from)) {
    const file = join(from, name);
    if (!(await isWanted(file))) continue;
    await symlink(file, join(to, name));
    linked += 1;
  }
  return linked;
}
